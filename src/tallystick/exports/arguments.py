"""Which arguments go together: nonsense is refused before anything is read, and whole days become a period.

ExportOptionsInvalidError      422  arguments that contradict each other, or that the format doesn't take
ExportFormatLimitError         422  the format can't hold what would have to be told
ExportFormatUnavailableError   501  the installation lacks what the format is written with
"""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from importlib.util import find_spec
from typing import Final

from tallystick.core.errors import DomainError, MalformedError
from tallystick.exports.options import ExportOptions, LedgerDetail, SampleMethod
from tallystick.exports.records import ExportArguments, ExportFormat, ExportPeriodInvalidError

__all__ = [
    "SAMPLE_SIZE_MAX",
    "SEED_LENGTH_MAX",
    "STATEMENT_FORMATS",
    "ExportFormatLimitError",
    "ExportFormatUnavailableError",
    "ExportOptionsInvalidError",
    "checked_arguments",
]

STATEMENT_FORMATS: Final = frozenset({ExportFormat.PDF, ExportFormat.CAMT053})
SAMPLE_SIZE_MAX: Final = 10_000
SEED_LENGTH_MAX: Final = 100
_GL_FORMATS: Final = frozenset({ExportFormat.GL_CSV, ExportFormat.GL_JSONL})
_SAMPLED_FORMATS: Final = frozenset(
    {ExportFormat.CSV, ExportFormat.JSONL, ExportFormat.PARQUET, ExportFormat.XLSX}
)
_TICK: Final = timedelta(microseconds=1)
_DAY: Final = timedelta(days=1)
_EARLIEST: Final = date(1970, 1, 1)


class ExportOptionsInvalidError(MalformedError):
    """The format does not take such an argument, needs another one, or two of them contradict each other."""

    code = "export_options_invalid"
    title = "The export's arguments don't go together"


class ExportFormatLimitError(MalformedError):
    """The format has a limit (digits of an amount, length of a cell) that the books go beyond; another has not."""

    code = "export_format_limit"
    title = "The format can't hold what the export tells"


class ExportFormatUnavailableError(DomainError):
    """Parquet is written with pyarrow, which is installed with the extra `parquet` only."""

    code = "export_format_unavailable"
    status = 501
    title = "This installation can't write the format"


def checked_arguments(arguments: ExportArguments, now: datetime) -> ExportArguments:
    """Return arguments that make sense, with the period that whole days stand for.

    Raises ExportOptionsInvalidError, ExportFormatUnavailableError, and ExportPeriodInvalidError for days that are not
    over or end before they begin.
    """
    _check_account(arguments)
    _check_ledger(arguments)
    _check_sample(arguments)
    if arguments.format == ExportFormat.PARQUET and find_spec("pyarrow") is None:
        raise ExportFormatUnavailableError(
            "Parquet needs pyarrow: install tallystick with the extra `parquet`."
        )
    return _with_period(arguments, now)


def _check_account(arguments: ExportArguments) -> None:
    if arguments.format not in STATEMENT_FORMATS:
        if arguments.options.account_id is not None:
            raise ExportOptionsInvalidError("`account_id` goes with the formats pdf and camt053.")
        return
    if arguments.options.account_id is None:
        raise ExportOptionsInvalidError("A statement is one account's: `account_id` is missing.")
    if arguments.token_class_id is not None:
        raise ExportOptionsInvalidError("An account is of one token class: leave `token_class_id` out.")


def _check_ledger(arguments: ExportArguments) -> None:
    options = arguments.options
    if arguments.format not in _GL_FORMATS:
        if options.detail is not None or options.hand_off_id is not None:
            raise ExportOptionsInvalidError(
                "`detail` and `hand_off_id` go with the formats gl_csv and gl_jsonl."
            )
        return
    if options.business_date is None:
        raise ExportOptionsInvalidError(
            "A hand-off to the general ledger is one day's: `business_date` or `hand_off_id` is missing."
        )
    if options.business_date_until not in {None, options.business_date}:
        raise ExportOptionsInvalidError("A hand-off to the general ledger is one day's.")
    if options.detail is not None and options.detail not in set(LedgerDetail):
        raise ExportOptionsInvalidError("`detail` is lines or codes.")


def _check_sample(arguments: ExportArguments) -> None:
    options = arguments.options
    if options.sample_size is None and options.seed is None:
        if options.sample_method is not None:
            raise ExportOptionsInvalidError("`sample_method` goes with `sample_size` and `seed`.")
        return
    if options.sample_size is None or options.seed is None:
        raise ExportOptionsInvalidError("A sample needs both `sample_size` and `seed`.")
    if arguments.format not in _SAMPLED_FORMATS:
        raise ExportOptionsInvalidError("Samples go with the formats csv, jsonl, parquet and xlsx.")
    if not 1 <= options.sample_size <= SAMPLE_SIZE_MAX:
        raise ExportOptionsInvalidError(f"`sample_size` lies between 1 and {SAMPLE_SIZE_MAX}.")
    if not 1 <= len(options.seed) <= SEED_LENGTH_MAX or not options.seed.isprintable():
        raise ExportOptionsInvalidError(f"`seed` has 1 to {SEED_LENGTH_MAX} printable characters.")
    if options.sample_method == SampleMethod.MONETARY_UNIT and arguments.token_class_id is None:
        raise ExportOptionsInvalidError(
            "Monetary units are counted in one currency: name the `token_class_id`."
        )


def _with_period(arguments: ExportArguments, now: datetime) -> ExportArguments:
    options = arguments.options
    if options.business_date is None:
        if options.business_date_until is not None:
            raise ExportOptionsInvalidError("`business_date_until` goes with `business_date`.")
        return arguments
    if arguments.booked_after is not None or arguments.booked_until is not None:
        raise ExportOptionsInvalidError("A period is given by moments or by business dates, not by both.")
    if options.handed_off is not None:
        return arguments
    first, last = _days(options)
    if first < _EARLIEST:
        raise ExportPeriodInvalidError("No business date lies before 1970.")
    if last < first:
        raise ExportPeriodInvalidError("The period must end after it begins.")
    if last >= now.date():
        raise ExportPeriodInvalidError("The business date must be over, in UTC.")
    return replace(
        arguments, booked_after=_midnight(first) - _TICK, booked_until=_midnight(last + _DAY) - _TICK
    )


def _days(options: ExportOptions) -> tuple[date, date]:
    assert options.business_date is not None
    return options.business_date, options.business_date_until or options.business_date


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)
