"""What may be asked for beside format, period and token class; which formats take it is told in `arguments.py`."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any, Final

__all__ = ["NO_OPTIONS", "ExportOptions", "LedgerDetail", "SampleMethod"]


class LedgerDetail(StrEnum):
    """How fine a hand-off to a general ledger is: a row per journal line, or per code of the chart and class."""

    LINES = "lines"
    CODES = "codes"


class SampleMethod(StrEnum):
    """How a sample is drawn: every entry with equal chance, or with a chance in proportion to its amount."""

    RANDOM = "random"
    MONETARY_UNIT = "monetary_unit"


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """`business_date` to `business_date_until` (or that one day) are whole days in UTC, in place of two moments.

    `sample_size` entries are drawn with `seed`: see `sampling.py`. With `holder_id` it is an evidence pack for that
    holder.
    """

    account_id: str | None = None
    business_date: date | None = None
    business_date_until: date | None = None
    detail: LedgerDetail | None = None
    sample_size: int | None = None
    seed: str | None = None
    sample_method: SampleMethod | None = None
    holder_id: str | None = None

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
        }
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
        )


NO_OPTIONS: Final = ExportOptions()
