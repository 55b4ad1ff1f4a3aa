"""Findings are known by code, and never more than people can read."""

import pytest

from tallystick.statements.findings import FINDING_SEVERITIES, Finding, FindingCollector
from tests.docs.documents import table


def test_findings_keep_their_order_and_severity() -> None:
    findings = FindingCollector()
    findings.add("text_too_long", "Stmt[1]", "Nm is long.")
    findings.add("balance_mismatch", "Stmt[1]", "No sum.")
    assert findings.collected("Stmt[1]") == (
        Finding("text_too_long", "warning", "Stmt[1]", "Nm is long."),
        Finding("balance_mismatch", "error", "Stmt[1]", "No sum."),
    )


def test_an_unknown_code_is_a_mistake_of_ours() -> None:
    with pytest.raises(KeyError):
        FindingCollector().add("no_such_code", "here", "why")


def test_many_of_one_code_are_counted() -> None:
    findings = FindingCollector(count_max_per_code=2)
    for number in range(5):
        findings.add("iban_invalid", f"Ntry[{number}]", "bad")
    findings.add("uetr_invalid", "Ntry[9]", "bad")
    collected = findings.collected("Stmt[1]")
    assert [finding.code for finding in collected] == [
        "iban_invalid",
        "iban_invalid",
        "uetr_invalid",
        "findings_suppressed",
    ]
    assert collected[-1].message == "3 more findings of code iban_invalid are not listed."


def test_add_once() -> None:
    findings = FindingCollector()
    findings.add_once("moment_without_zone", "a", "first")
    findings.add_once("moment_without_zone", "b", "second")
    assert [finding.where for finding in findings.collected("x")] == ["a"]


def test_every_finding_is_explained() -> None:
    told = {row[0].strip("`"): row[1] for row in table("treasury.md", "finding", "severity")}

    assert told == FINDING_SEVERITIES
    assert list(told) == sorted(told)
