"""`tallystick business-dates`: the same routes as over HTTP, asked from a terminal."""

from datetime import date

import pytest

from tests.cli.conftest import CommandLine


@pytest.fixture
def maker(on_sandbox: CommandLine, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    monkeypatch.setenv("TALLYSTICK_API_KEY", on_sandbox.sandbox["keys"]["maker"])
    return on_sandbox


def test_a_day_is_shown_handed_off_and_its_close_asked_for(maker: CommandLine) -> None:
    assert maker.run("business-dates", "show").exit_code == 1
    assert "business_calendar_missing" in maker.run("business-dates", "list").errors
    _calendar(maker)

    shown = maker.json("business-dates", "show")
    day = shown["id"]
    assert (date.fromisoformat(day).isoformat(), shown["state"]) == (day, "open")
    assert "hand_off_not_found" in maker.run("business-dates", "close", day).errors
    made = maker.json("business-dates", "hand-off", day)
    assert {one["currency"] for one in made["totals"]} == {"EUR", "USD"}
    asked = maker.run("business-dates", "close", day)
    assert asked.exit_code == 0
    assert "waits for another person: approval approval_" in asked.output
    refused = maker.run("business-dates", "reopen", day, "--reason", "A credit.")
    assert "business_date_conflict" in refused.errors
    listed = maker.run("business-dates", "list")
    assert day in listed.output
    assert "business_date_not_found" in maker.run("business-dates", "show", "2026-02-30").errors
    assert "path_unknown" in maker.run("business-dates", "show", "../principals").errors


def _calendar(maker: CommandLine) -> None:
    """Set a calendar as the sandbox's two people, through the very routes."""
    from tallystick.cli.asking import ask
    from tallystick.core.settings import Settings

    settings, keys = Settings.from_environment(), maker.sandbox["keys"]
    body = {
        "time_zone": "UTC",
        "cut_off": "24:00",
        "weekend": [],
        "holidays": [],
        "reconcile_at": [],
        "reason": "Every day is one.",
    }
    asked = ask(settings, keys["maker"], "/v1/business-calendar", body)
    ask(settings, keys["checker"], f"/v1/approvals/{asked['approval_id']}/approve", {})
