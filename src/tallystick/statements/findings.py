"""What an inbound statement said that the standard, or its own sums, do not bear out.

Real bank files break their schema, so a deviation that leaves the money readable is recorded and the file is still
imported; whatever makes an amount, a sign, a currency or an account doubtful is refused instead (see `refusals`).
"""

from collections import Counter
from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["FINDING_SEVERITIES", "Finding", "FindingCollector", "Severity"]

Severity = Literal["info", "warning", "error"]

#: Every finding there is. An error says that the figures contradict each other: nothing should be confirmed from
#: such a statement without a person. A warning says that the bank left its schema. Info only describes.
FINDING_SEVERITIES: Final[dict[str, Severity]] = {
    "account_ambiguous": "warning",
    "account_currency_inferred": "info",
    "balance_currency_mismatch": "error",
    "balance_date_missing": "warning",
    "balance_duplicated": "warning",
    "balance_mismatch": "error",
    "balance_not_checkable": "warning",
    "balance_type_unknown": "info",
    "batch_count_mismatch": "warning",
    "batch_total_mismatch": "warning",
    "bic_invalid": "warning",
    "boolean_unreadable": "warning",
    "closing_balance_missing": "error",
    "created_at_missing": "warning",
    "credit_behind_statement": "info",
    "credit_not_identified": "info",
    "credit_told_otherwise": "warning",
    "dates_inconsistent": "warning",
    "detail_amount_unreadable": "warning",
    "deposit_confirmed_by_hand": "info",
    "deposit_refused": "warning",
    "deposits_not_confirmed": "warning",
    "details_sum_mismatch": "warning",
    "element_of_other_version": "info",
    "encoding_declaration_wrong": "info",
    "encoding_not_declared": "info",
    "entries_not_booked": "info",
    "entry_currency_mismatch": "error",
    "entry_date_outside_period": "warning",
    "entry_reference_duplicated": "warning",
    "entry_seen_before": "warning",
    "entry_status_unknown": "warning",
    "field_unknown": "info",
    "findings_suppressed": "info",
    "iban_invalid": "warning",
    "moment_unreadable": "warning",
    "moment_without_zone": "info",
    "number_unreadable": "warning",
    "opening_balance_missing": "error",
    "opening_differs_from_previous_closing": "error",
    "page_unreadable": "warning",
    "period_overlaps": "error",
    "previous_statement_unknown": "info",
    "report_balance_mismatch": "info",
    "return_of_unknown_payment": "warning",
    "sequence_gap": "warning",
    "sequence_not_ascending": "warning",
    "servicer_reference_duplicated": "warning",
    "statement_id_duplicated": "warning",
    "statement_is_copy": "info",
    "summary_mismatch": "warning",
    "text_too_long": "warning",
    "transaction_code_missing": "info",
    "transaction_code_unknown": "info",
    "uetr_invalid": "warning",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One deviation: a stable code, how much it matters, the element it is about, and one sentence for people.

    `where` is a path of element names with positions counted from 1 (`Stmt[1]/Ntry[12]`). Neither field repeats
    names, references or free text of the file; amounts that contradict each other are named.
    """

    code: str
    severity: Severity
    where: str
    message: str


class FindingCollector:
    """Gathers findings, at most `count_max_per_code` of each code, and then says how many more there were.

    A file of 200,000 entries that all share one deviation must not become 200,000 findings.
    """

    def __init__(self, count_max_per_code: int = 50) -> None:
        self._count_max_per_code = count_max_per_code
        self._findings: list[Finding] = []
        self._counts: Counter[str] = Counter()

    def add(self, code: str, where: str, message: str) -> None:
        """Record a finding of a known code (KeyError otherwise)."""
        severity = FINDING_SEVERITIES[code]
        self._counts[code] += 1
        if self._counts[code] <= self._count_max_per_code:
            self._findings.append(Finding(code, severity, where, message))

    def add_once(self, code: str, where: str, message: str) -> None:
        """Record a finding unless one of its code is there already."""
        if not self._counts[code]:
            self.add(code, where, message)

    def collected(self, where: str) -> tuple[Finding, ...]:
        """Return the findings in the order of the file, and a last one under `where` for each code cut short."""
        suppressed = [
            Finding(
                "findings_suppressed",
                FINDING_SEVERITIES["findings_suppressed"],
                where,
                f"{count - self._count_max_per_code} more findings of code {code} are not listed.",
            )
            for code, count in sorted(self._counts.items())
            if count > self._count_max_per_code
        ]
        return (*self._findings, *suppressed)
