"""What goes together and what does not; and options are kept as they were asked for."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from tallystick.exports import (
    ExportArguments,
    ExportFormat,
    ExportOptions,
    ExportOptionsInvalidError,
    ExportPeriodInvalidError,
    LedgerDetail,
    SampleMethod,
)
from tallystick.exports.arguments import SAMPLE_SIZE_MAX, checked_arguments
from tallystick.exports.records import Pinned, Proof

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
DAY = date(2026, 11, 20)
TABLES = [ExportFormat.CSV, ExportFormat.JSONL, ExportFormat.PARQUET, ExportFormat.XLSX]
STATEMENTS = [ExportFormat.PDF, ExportFormat.CAMT053]
LEDGERS = [ExportFormat.GL_CSV, ExportFormat.GL_JSONL]
OTHERS = [ExportFormat.HLEDGER, ExportFormat.BEANCOUNT, ExportFormat.EVIDENCE]
SAMPLE: dict[str, Any] = {"sample_size": 1, "seed": "x"}


def test_every_format_is_of_one_kind() -> None:
    assert sorted([*TABLES, *STATEMENTS, *LEDGERS, *OTHERS]) == sorted(ExportFormat)


def refused(export_format: ExportFormat, options: dict[str, Any], **asked: Any) -> None:
    with pytest.raises(ExportOptionsInvalidError):
        checked_arguments(ExportArguments(export_format, options=ExportOptions(**options), **asked), NOW)


@pytest.mark.parametrize("export_format", ExportFormat)
def test_each_format_takes_its_own_options_only(export_format: ExportFormat) -> None:
    needed: dict[str, Any] = {}
    if export_format in STATEMENTS:
        refused(export_format, {})
        refused(export_format, {"account_id": "account_1"}, token_class_id="class_1")
        needed = {"account_id": "account_1"}
    else:
        refused(export_format, {"account_id": "account_1", "business_date": DAY})
    if export_format in LEDGERS:
        refused(export_format, {})
        refused(export_format, {"business_date": DAY, "business_date_until": DAY + timedelta(days=1)})
        needed = {"business_date": DAY, "detail": LedgerDetail.CODES}
    else:
        refused(export_format, needed | {"detail": LedgerDetail.LINES})
    if export_format in TABLES:
        needed = SAMPLE
    else:
        refused(export_format, needed | SAMPLE)
    arguments = ExportArguments(export_format, options=ExportOptions(**needed))
    assert checked_arguments(arguments, NOW).options == arguments.options


@pytest.mark.parametrize(
    "options",
    [
        {"sample_size": 1},
        {"seed": "x"},
        {"sample_method": SampleMethod.RANDOM},
        SAMPLE | {"sample_size": 0},
        SAMPLE | {"sample_size": SAMPLE_SIZE_MAX + 1},
        SAMPLE | {"seed": ""},
        SAMPLE | {"seed": "x" * 101},
        SAMPLE | {"seed": "a\nb"},
        SAMPLE | {"seed": "\ud800"},
        SAMPLE | {"sample_method": SampleMethod.MONETARY_UNIT},
        {"business_date_until": DAY},
    ],
)
def test_nonsense_is_refused(options: dict[str, Any]) -> None:
    refused(ExportFormat.CSV, options)


@pytest.mark.parametrize("end", ["booked_after", "booked_until"])
def test_a_period_is_given_in_one_way(end: str) -> None:
    refused(ExportFormat.CSV, {"business_date": DAY}, **{end: NOW - timedelta(days=1)})


@pytest.mark.parametrize(
    ("first", "last"),
    [
        (NOW.date(), None),
        (DAY, NOW.date()),
        (DAY, DAY - timedelta(days=1)),
        (date.max, None),
        (date.min, None),
        (date(1969, 12, 31), None),
        (DAY, date.max),
    ],
)
def test_days_that_are_not_over_or_never_were(first: date, last: date | None) -> None:
    options = ExportOptions(business_date=first, business_date_until=last)
    with pytest.raises(ExportPeriodInvalidError):
        checked_arguments(ExportArguments(ExportFormat.CSV, options=options), NOW)


def test_days_are_whole_in_utc() -> None:
    options = ExportOptions(business_date=DAY, business_date_until=DAY + timedelta(days=2))
    checked = checked_arguments(ExportArguments(ExportFormat.CSV, options=options), NOW)

    # What is booked at the first midnight belongs to it, at the last one no more.
    assert checked.booked_after == datetime(2026, 11, 19, 23, 59, 59, 999_999, tzinfo=UTC)
    assert checked.booked_until == datetime(2026, 11, 22, 23, 59, 59, 999_999, tzinfo=UTC)
    assert checked_arguments(replace(checked, booked_after=None, booked_until=None), NOW) == checked


@pytest.mark.parametrize(
    "options",
    [
        ExportOptions(),
        ExportOptions(account_id="account_1", business_date=DAY, business_date_until=DAY),
        ExportOptions(business_date=DAY, detail=LedgerDetail.CODES),
        ExportOptions(sample_size=3, seed="é", sample_method=SampleMethod.MONETARY_UNIT),
    ],
)
def test_what_is_kept_is_read_back(options: ExportOptions) -> None:
    pinned = Pinned(
        ExportArguments(ExportFormat.CSV, NOW, NOW, "class_1", options),
        1,
        2,
        proof=Proof("log.example/x", 3, "AAAA"),
    )
    assert Pinned.from_json(pinned.as_json()) == pinned


def test_what_was_not_asked_for_is_not_told() -> None:
    """Manifests of before there were options stay as they were."""
    pinned = Pinned(ExportArguments(ExportFormat.CSV), 0, 1)
    assert set(pinned.as_json()) == {
        *("format", "from", "to", "token_class_id", "first_event_index", "last_event_index")
    }
