"""What an export is asked for with. What goes together is the exports' own to say (`exports/arguments.py`)."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from tallystick.api.bodies import Day, Moment, ObjectId, Schema
from tallystick.exports import (
    SAMPLE_SIZE_MAX,
    SEED_LENGTH_MAX,
    ExportArguments,
    ExportFormat,
    ExportOptions,
    LedgerDetail,
    SampleMethod,
)

__all__ = ["ExportRequest", "HolderExportRequest"]


class ExportRequest(Schema):
    """What to export: events booked after `from` and up to `to`, of one token class or of all.

    In place of moments, `business_date` to `business_date_until` are whole days in UTC. `account_id` goes with `pdf`
    and `camt053`, `detail` with `gl_csv` and `gl_jsonl`; `sample_size` and `seed` draw a sample of entries for
    auditors, in `csv`, `jsonl`, `parquet` and `xlsx`. `holder_id` goes with `evidence`: a pack for that holder, as at
    `/v1/holders/{holder_id}/exports`. `hand_off_id` goes with `gl_csv` and `gl_jsonl`: what the hand-off of a business
    date took in, by value date, as the log stood then.
    """

    format: ExportFormat = Field(strict=False)
    from_: Moment | None = Field(default=None, alias="from")
    to: Moment | None = None
    token_class_id: ObjectId | None = None
    account_id: ObjectId | None = None
    business_date: Day | None = None
    business_date_until: Day | None = None
    detail: LedgerDetail | None = Field(default=None, strict=False)
    sample_size: int | None = Field(default=None, ge=1, le=SAMPLE_SIZE_MAX)
    seed: Annotated[str, StringConstraints(min_length=1, max_length=SEED_LENGTH_MAX)] | None = None
    sample_method: SampleMethod | None = Field(default=None, strict=False)
    holder_id: ObjectId | None = None
    hand_off_id: ObjectId | None = None

    def arguments(self) -> ExportArguments:
        """Return what is asked for."""
        return ExportArguments(
            self.format,
            self.from_,
            self.to,
            self.token_class_id,
            ExportOptions(
                account_id=self.account_id,
                business_date=self.business_date,
                business_date_until=self.business_date_until,
                detail=self.detail,
                sample_size=self.sample_size,
                seed=self.seed,
                sample_method=self.sample_method,
                holder_id=self.holder_id,
                hand_off_id=self.hand_off_id,
            ),
        )


class HolderExportRequest(Schema):
    """Of which period a holder's pack tells: events booked after `from` and up to `to`."""

    format: Literal["evidence"]
    from_: Moment | None = Field(default=None, alias="from")
    to: Moment | None = None
