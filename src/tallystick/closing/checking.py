"""The end-of-day checklist, looked at as things stand: statements, runs, trial balance, hand-off.

A class that nothing was ever posted to has nothing to show, and is not asked for anything.
"""

from collections.abc import Collection, Sequence

from sqlalchemy import Connection

from tallystick import attestations, ledger, payouts, reconciliation, statements
from tallystick.attestations import Attestation
from tallystick.business_dates import Period
from tallystick.closing.records import Checklist, HandOff, Item
from tallystick.core.money import format_amount
from tallystick.ledger import Code, ledger_account_id
from tallystick.participants import TokenClass
from tallystick.payouts import FindingState
from tallystick.reconciliation import ENDED_STATES, EXPLAINED_TYPES, Backing, Verdict

__all__ = ["check", "used_classes"]

_BREAKS_AT_ONCE = 1_000
_FINDINGS_SHOWN_MAX = 100


def used_classes(connection: Connection, issuer_id: str, classes: Sequence[TokenClass]) -> list[TokenClass]:
    """Return the classes that were ever posted to: the first posting is always a deposit's, on 1100."""
    ids = {ledger_account_id(Code.DEPOSITS_AT_CORE, one.id): one for one in classes}
    positions = ledger.positions(connection, issuer_id, list(ids))
    return [one for account_id, one in ids.items() if account_id in positions]


def check(
    connection: Connection,
    issuer_id: str,
    period: Period,
    classes: Sequence[TokenClass],
    hand_off: HandOff | None,
    accepted_break_ids: Collection[str] = (),
) -> Checklist:
    """Return the checklist of a date. Breaks that are accepted by name are in nobody's way."""
    used = used_classes(connection, issuer_id, classes)
    items: list[Item] = []
    open_break_ids: list[str] = []
    for of_class in used:
        items.append(_statement(connection, issuer_id, period, of_class))
        run, found = _run(connection, issuer_id, period, of_class, hand_off, accepted_break_ids)
        items.append(run)
        open_break_ids += found
        items.append(_trial_balance(connection, issuer_id, of_class))
    items += _payout_findings(connection, issuer_id)
    items.append(_hand_off(connection, issuer_id, period, hand_off))
    return Checklist(items, hand_off, open_break_ids)


def _statement(connection: Connection, issuer_id: str, period: Period, of_class: TokenClass) -> Item:
    name = "statement_complete"
    run = attestations.latest(connection, issuer_id, of_class.id)
    if run is not None and run.backing != Backing.CONTROL_ACCOUNT:
        # No statement proves what customers' own accounts hold: the core tells it.
        done = run.bank_as_of is not None and run.bank_as_of >= period.last
        return Item(name, of_class.id, done, f"The core told of holds up to {run.bank_as_of}.", {})
    latest = statements.latest_statement(connection, issuer_id, of_class.id)
    if latest is None or latest.closed_on is None:
        return Item(name, of_class.id, False, f"No {of_class.currency} statement is in.", {})
    assert latest.closing_minor is not None
    return Item(
        name,
        of_class.id,
        latest.closed_on >= period.last,
        f"The last {of_class.currency} statement closes on {latest.closed_on}.",
        {
            "statement_id": latest.id,
            "closed_on": latest.closed_on.isoformat(),
            "closing_balance": format_amount(latest.closing_minor, of_class.scale),
        },
    )


def _run(
    connection: Connection,
    issuer_id: str,
    period: Period,
    of_class: TokenClass,
    hand_off: HandOff | None,
    accepted: Collection[str],
) -> tuple[Item, list[str]]:
    """Return the item of the class's last reconciliation, and its open breaks."""
    latest = attestations.latest(connection, issuer_id, of_class.id)
    if latest is None:
        return Item("reconciled", of_class.id, False, f"{of_class.currency} was never reconciled.", {}), []
    figures = {
        "reconciliation_id": latest.reconciliation_id,
        "verdict": latest.verdict,
        "ledger_index": latest.ledger_index,
        "bank_as_of": None if latest.bank_as_of is None else latest.bank_as_of.isoformat(),
    }
    behind = _behind(latest, period, of_class, hand_off)
    if behind is not None:
        return Item("reconciled", of_class.id, False, behind, figures), []
    if latest.verdict == Verdict.TIED:
        return Item("reconciled", of_class.id, True, f"{of_class.currency} ties.", figures), []
    found = _open_breaks(connection, issuer_id, latest)
    left = [one for one in found if one not in accepted]
    words = f"{len(left)} open breaks in {of_class.currency}, {len(found) - len(left)} accepted by name."
    return Item(
        "reconciled", of_class.id, bool(found) and not left, words, figures | {"open_break_ids": found}
    ), found


def _behind(
    latest: Attestation, period: Period, of_class: TokenClass, hand_off: HandOff | None
) -> str | None:
    """Return why the last reconciliation does not tell of the whole date, or None."""
    currency = of_class.currency
    if latest.bank_as_of is None or latest.bank_as_of < period.last:
        return f"The last {currency} reconciliation has no statement of {period.last}."
    totals = None if hand_off is None else hand_off.of_class(of_class.id)
    if totals is not None and latest.ledger_index < totals.last_event_index:
        return f"The last {currency} reconciliation ends before the date's last entry."
    return None


def _open_breaks(connection: Connection, issuer_id: str, latest: Attestation) -> list[str]:
    found: list[str] = []
    after = ""
    while page := reconciliation.breaks(
        connection,
        issuer_id,
        reconciliation_id=latest.reconciliation_id,
        after=after,
        limit=_BREAKS_AT_ONCE,
    ):
        after = page[-1].id
        found += [one.id for one in page if one.type not in EXPLAINED_TYPES and one.state not in ENDED_STATES]
    return found


def _payout_findings(connection: Connection, issuer_id: str) -> list[Item]:
    """Return what the bank said of payouts that still waits for people, if anything does.

    It keeps no date open: whatever of it is money is a break as well, and that has to be accepted by name.
    """
    states = [FindingState.OPEN, FindingState.ASSIGNED]
    found = payouts.findings(connection, issuer_id, states=states, limit=_FINDINGS_SHOWN_MAX + 1)
    if not found:
        return []
    count = f"More than {_FINDINGS_SHOWN_MAX}" if len(found) > _FINDINGS_SHOWN_MAX else f"{len(found)}"
    ids = [one.id for one in found[:_FINDINGS_SHOWN_MAX]]
    words = f"{count} findings about payouts wait for people."
    return [Item("payout_findings", None, True, words, {"open_finding_ids": ids})]


def _trial_balance(connection: Connection, issuer_id: str, of_class: TokenClass) -> Item:
    debits_minor, credits_minor = ledger.trial_sums(connection, issuer_id, of_class.id)
    debits, credits_ = (format_amount(one, of_class.scale) for one in (debits_minor, credits_minor))
    return Item(
        "trial_balance_zero",
        of_class.id,
        debits_minor == credits_minor,
        f"{of_class.currency} {debits} of debit balances, {credits_} of credit balances.",
        {"debit_balances": debits, "credit_balances": credits_},
    )


def _hand_off(connection: Connection, issuer_id: str, period: Period, hand_off: HandOff | None) -> Item:
    name = "hand_off_produced"
    if hand_off is None:
        return Item(name, None, False, "Nothing was handed off to the general ledger.", {})
    figures = {
        "hand_off_id": hand_off.id,
        "event_index": hand_off.event_index,
        "sha256": hand_off.sha256.hex(),
    }
    if hand_off.period_from != period.first:
        return Item(name, None, False, "The hand-off is of other days.", figures)
    later = ledger.first_dated_behind(connection, issuer_id, period.first, period.last, hand_off.event_index)
    if later is not None:
        return Item(name, None, False, f"Event {later} came behind the hand-off: make it again.", figures)
    return Item(name, None, True, "The hand-off holds every entry of the date.", figures)
