"""What may be asked for beside format, period and token class; which formats take it is told in `arguments.py`."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any, Final, NamedTuple

__all__ = ["NO_OPTIONS", "ExportOptions", "HandedOff", "LedgerDetail", "SampleMethod"]


class LedgerDetail(StrEnum):
    """How fine a hand-off to a general ledger is: a row per journal line, or per code of the chart and class."""

    LINES = "lines"
    CODES = "codes"


class SampleMethod(StrEnum):
    """How a sample is drawn: every entry with equal chance, or with a chance in proportion to its amount."""

    RANDOM = "random"
    MONETARY_UNIT = "monetary_unit"


class HandedOff(NamedTuple):
    """What a hand-off of a business date takes in, as it was kept: by value date, and as the log stood then.

    The value dates from `period_from` to the business date, up to the event `known_index`. `sha256` is what its
    `line_count` journal lines came to.
    """

    period_from: date
    known_index: int
    line_count: int
    sha256: str

    def as_json(self) -> dict[str, str | int]:
        """Return it under the names that a manifest uses."""
        return {
            "period_from": self.period_from.isoformat(),
            "known_event_index": self.known_index,
            "journal_lines": self.line_count,
            "journal_sha256": self.sha256,
        }

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> "HandedOff":
        """Return what `as_json` kept, among other members."""
        return cls(
            date.fromisoformat(kept["period_from"]),
            kept["known_event_index"],
            kept["journal_lines"],
            kept["journal_sha256"],
        )


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """`business_date` to `business_date_until` (or that one day) are whole days in UTC, in place of two moments.

    `sample_size` entries are drawn with `seed`: see `sampling.py`. With `holder_id` it is an evidence pack for that
    holder. With `hand_off_id` it is what the close of a business date handed off (`HandedOff`).
    """

    account_id: str | None = None
    business_date: date | None = None
    business_date_until: date | None = None
    detail: LedgerDetail | None = None
    sample_size: int | None = None
    seed: str | None = None
    sample_method: SampleMethod | None = None
    holder_id: str | None = None
    hand_off_id: str | None = None
    handed_off: HandedOff | None = None

    def as_json(self) -> dict[str, str | int]:
        """Return what was asked for; what was not is left out, so that manifests without options stay as they were."""
        shown: dict[str, Any] = {
            "account_id": self.account_id,
            "business_date": None if self.business_date is None else self.business_date.isoformat(),
            "business_date_until": (
                None if self.business_date_until is None else self.business_date_until.isoformat()
            ),
            "detail": None if self.detail is None else self.detail.value,
            "sample_size": self.sample_size,
            "seed": self.seed,
            "sample_method": None if self.sample_method is None else self.sample_method.value,
            "holder_id": self.holder_id,
            "hand_off_id": self.hand_off_id,
        }
        if self.handed_off is not None:
            shown |= self.handed_off.as_json()
        return {name: value for name, value in shown.items() if value is not None}

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> "ExportOptions":
        """Return what `as_json` kept, among other members."""
        first, last = kept.get("business_date"), kept.get("business_date_until")
        detail, method = kept.get("detail"), kept.get("sample_method")
        return cls(
            kept.get("account_id"),
            None if first is None else date.fromisoformat(first),
            None if last is None else date.fromisoformat(last),
            None if detail is None else LedgerDetail(detail),
            kept.get("sample_size"),
            kept.get("seed"),
            None if method is None else SampleMethod(method),
            kept.get("holder_id"),
            kept.get("hand_off_id"),
            HandedOff.from_json(kept) if "period_from" in kept else None,
        )


NO_OPTIONS: Final = ExportOptions()
