"""Figures of the books that the issuer signed on request: a balance, a supply or a trial balance, as it was answered.

What was signed is the answer as canonical JSON (RFC 8785) without `signature` and `rows`; `row_count` and `rows_hash`
(SHA-256 of each row's canonical JSON and a line feed) stand for the rows. The signature says that the bank said so, of
the log up to `event_index`; that it is so, a pack of that log proves.
"""

import hashlib
import re
from collections.abc import Iterable
from typing import Any, Final

from tallystick_verify.canonical import JsonRefusedError, canonical, parse
from tallystick_verify.chart import CHART, CLAIM_CODES
from tallystick_verify.failures import ExitCode, Failure, PackFailure
from tallystick_verify.holders import check_token
from tallystick_verify.jws import BOOKS_TYPE, read_token
from tallystick_verify.policy_file import Policy
from tallystick_verify.report import Check, Report

__all__ = ["SIZE_MAX_BYTES", "verify_books"]

SIZE_MAX_BYTES: Final = 268_435_456
_CHECKS: Final = ("signature", "rows", "figures")
_STATUSES: Final = ("available", "held", "pledged", "restricted", "dormant")
_COMMON: Final = frozenset(
    {
        "as_of",
        "currency",
        "effective_on",
        "event_hash",
        "event_index",
        "issuer_id",
        "log_size",
        "object",
        "signed_at",
    }
)
_OWN: Final = {
    "balance": {"account_id", "deposits_available", "total", *_STATUSES},
    "supply": {"supply", "token_class_id"},
    "trial_balance": {"credit_total", "debit_total", "row_count", "rows_hash", "supply", "token_class_id"},
}
_NUMBERS: Final = frozenset({"event_index", "log_size", "row_count"})
_AMOUNTS: Final = frozenset(
    {"credit_total", "debit_total", "deposits_available", "supply", "total", *_STATUSES}
)
_ROW: Final = {"account_id", "code", "credit", "debit", "ledger_account_id", "name"}
_AMOUNT: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,20})(?:\.[0-9]{1,9})?", re.ASCII)
_SAID_ONLY: Final = (
    "That the figures are right: the bank said so, for the log up to event {event_index}. "
    "A pack of that log proves them."
)
_NO_ROWS: Final = "What the rows are: they are not in the file, only their hash."


def verify_books(octets: bytes, policy: Policy) -> Report:
    """Verify signed figures and return the report; failures are in it and never raised."""
    report = Report(checks={name: Check() for name in _CHECKS})
    step = "signature"
    try:
        told = _read(octets)
        rows = told.pop("rows", None)
        _check_signature(told, policy)
        report.passed("signature", f"by a key that you pinned, when the log had {told['log_size']:,} events")
        step = "rows"
        _check_rows(told, rows, report)
        step = "figures"
        report.passed("figures", _check_figures(told, rows))
        report.pack = {
            name: told[name]
            for name in ("object", "account_id", "token_class_id", "currency", "as_of", "effective_on")
            if told.get(name) is not None
        } | {
            name: told[name]
            for name in ("event_index", "event_hash", "signed_at", "total", "supply", "deposits_available")
            if name in told
        }
        report.unproven.append(_SAID_ONLY.format(event_index=told["event_index"]))
    except Failure as failure:
        report.failed(step, failure)
    return report


def _read(octets: bytes) -> dict[str, Any]:
    if len(octets) > SIZE_MAX_BYTES:
        raise PackFailure("The file is larger than is read: ask for an evidence pack.")
    try:
        found = parse(octets)
    except JsonRefusedError as error:
        raise PackFailure(f"The file is malformed: {error}.") from None
    if not isinstance(found, dict):
        raise PackFailure("The file is no JSON object.")
    if "signature" not in found:
        raise Failure(ExitCode.SIGNATURE, "The figures are not signed: ask with signed=true.")
    own = _OWN.get(found["object"]) if isinstance(found.get("object"), str) else None
    if own is None:
        raise Failure(ExitCode.UNSUPPORTED, "The figures are of a kind that is not known here.")
    if found.keys() - {"signature", "rows"} != _COMMON | own:
        raise Failure(ExitCode.UNSUPPORTED, "The figures have other members than expected.")
    numbers = _NUMBERS & found.keys()
    if any(type(found[name]) is not int or found[name] < -1 for name in numbers):
        raise PackFailure("The figures' place in the log is malformed.")
    if not _are_texts(found[name] for name in found.keys() - numbers - {"rows"}):
        raise PackFailure("The figures have a member of another type than expected.")
    return found


def _are_texts(values: Iterable[Any]) -> bool:
    return all(isinstance(one, str | None) for one in values)


def _check_signature(told: dict[str, Any], policy: Policy) -> None:
    signature = told.pop("signature")
    if not isinstance(signature, str) or not signature.isascii():
        raise Failure(ExitCode.SIGNATURE, "The signature is malformed.")
    token = read_token(signature.encode("ascii"), BOOKS_TYPE)
    check_token(token, max(told["log_size"] - 1, 0), policy)
    if token.payload != canonical(told):
        raise Failure(ExitCode.FIGURES, "What was signed are other figures.")
    if told["issuer_id"] != policy.issuer_id:
        raise Failure(ExitCode.LOG, "The figures are of another issuer than the policy's.")
    if told["event_index"] >= told["log_size"]:
        raise Failure(ExitCode.LOG, "The figures are as of an event that was not in the log.")


def _check_rows(told: dict[str, Any], rows: Any, report: Report) -> None:
    if told["object"] != "trial_balance":
        if rows is not None:
            raise Failure(ExitCode.UNSUPPORTED, "There are rows where none belong.")
        report.skipped("rows", "there are none")
        return
    if rows is None:
        report.skipped("rows", "NOT IN THE FILE")
        report.unproven.append(_NO_ROWS)
        return
    if not isinstance(rows, list) or not all(
        isinstance(row, dict) and row.keys() == _ROW and _are_texts(row.values()) for row in rows
    ):
        raise PackFailure("The rows are malformed.")
    digest = hashlib.sha256()
    for row in rows:
        digest.update(canonical(row) + b"\n")
    if (told["row_count"], told["rows_hash"]) != (len(rows), digest.hexdigest()):
        raise Failure(ExitCode.FIGURES, "The rows are not those that were signed.")
    report.passed("rows", f"{len(rows):,} rows, as they were signed")


def _check_scale(told: dict[str, Any], rows: Any) -> None:
    """All amounts have the class's decimals: else a digit would be another in one of them."""
    amounts = [told[name] for name in _AMOUNTS & told.keys()]
    amounts += [row[side] for row in rows or () for side in ("credit", "debit") if row[side] is not None]
    if len({len(one.partition(".")[2]) for one in amounts if _minor(one) is not None}) > 1:
        raise PackFailure("The amounts are not of one scale.")


def _check_figures(told: dict[str, Any], rows: Any) -> str:
    _check_scale(told, rows)
    if told["object"] == "balance":
        if sum(_minor(told[name]) for name in _STATUSES) != _minor(told["total"]):
            raise Failure(ExitCode.FIGURES, "The total is not the sum of the claim.")
        return f"{told['total']} {told['currency']}, and {told['deposits_available']} in deposits"
    if told["object"] == "trial_balance":
        if told["debit_total"] != told["credit_total"]:
            raise Failure(ExitCode.FIGURES, "Debits and credits differ.")
        if rows is not None:
            _check_totals(told, rows)
    return f"supply {told['supply']} {told['currency']}"


def _check_totals(told: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    sums = {"debit": 0, "credit": 0}
    supply_minor = 0
    for row in rows:
        if (row["debit"] is None) == (row["credit"] is None) or row["code"] not in CHART:
            raise Failure(ExitCode.FIGURES, "A row has no side, or a code that the chart does not have.")
        side = "credit" if row["debit"] is None else "debit"
        amount_minor = _minor(row[side])
        sums[side] += amount_minor
        if row["code"] in CLAIM_CODES:
            supply_minor += amount_minor if side == "credit" else -amount_minor
    if (sums["debit"], sums["credit"], supply_minor) != (
        _minor(told["debit_total"]),
        _minor(told["credit_total"]),
        _minor(told["supply"]),
    ):
        raise Failure(ExitCode.FIGURES, "The rows do not sum up to the totals, or to supply.")


def _minor(text: Any) -> int:
    if not isinstance(text, str) or _AMOUNT.fullmatch(text) is None:
        raise PackFailure("An amount is malformed.")
    return int(text.replace(".", ""))
