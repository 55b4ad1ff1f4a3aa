"""Importing a bank's file: every credit that the bank shows becomes a deposit, once, and nothing is ever guessed.

A long file comes in parts, a transaction each: first its statements, then their entries with the deposits that they
became, and at last the mark that each statement is whole. A crash leaves the parts that were committed; the same file
again goes on behind them, whoever sends it, and until it is whole nothing is proven by it. Two imports of one file at
once share its parts between them.

Imports into one token class stand in line, part by part, behind the class's control account (1100), which is also
what they post to, so that each sees what the one before it left; the unique key of the bank's own identification
holds even if that were not so.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Final

from sqlalchemy import Connection

from tallystick.core.clock import day_end
from tallystick.core.database import Database
from tallystick.participants import Principal
from tallystick.statements import notified_store, store
from tallystick.statements.abandoning import StatementImportNotAllowedError, refuse_abandoned
from tallystick.statements.by_hand import link_confirmed_by_hand
from tallystick.statements.crediting import find_accounts, settle_credits
from tallystick.statements.drafts import StatementDraft, draft_of
from tallystick.statements.files import StatementFile
from tallystick.statements.notified import link_notified, record_notified
from tallystick.statements.records import ImportedStatement, Statement, StatementImport
from tallystick.statements.taking_up import TakenUp, add_findings, finding, lock_control_accounts, take_up
from tallystick.tokens import BankDataKind, Settler, tell_bank_data

__all__ = ["PART_SIZE_MAX", "import_ahead", "import_statement"]

#: Entries that one transaction takes in while the issuer's other business waits.
PART_SIZE_MAX: Final = 1_000


def import_statement(
    connection: Connection, settler: Settler, importer: Principal, file: StatementFile
) -> StatementImport:
    """Import every statement of a file of `importer`'s issuer, or what `import_ahead` left of it; the caller commits.

    Each booked credit that is no reversal becomes a deposit: confirmed to the account that its reference or its payer
    points to, or unassigned, waiting for a person. It waits too if the account can't be credited, if the entry looks
    like one that was imported before, and if the statement contradicts itself. All that is odd is kept as findings.
    A credit for which people, a report or a notification had confirmed a deposit is linked to that one, and nothing is
    confirmed again.

    A statement that was imported before, whatever the file's encoding, changes nothing (`imported` is False). Raises
    StatementImportNotAllowedError and what `take_up` raises.
    """
    if not importer.sees_whole_issuer:
        raise StatementImportNotAllowedError
    taken = take_up(connection, settler, importer, file)
    left_out = Counter(file.left_out)
    unfinished = _unfinished(taken)
    left_out += _import_entries(connection, settler, importer, _next_drafts(connection, unfinished, None))
    now = settler.clock.now()
    if unfinished:
        for one in unfinished:
            _note_left_out(connection, one.statement, left_out)
        store.add_completions(connection, importer.issuer_id, [one.statement.id for one in unfinished], now)
        for one in unfinished:
            _tell_day(connection, one.statement, now)
    return _import_of(
        file, taken, {one.statement.id: replace(one.statement, completed_at=now) for one in unfinished}
    )


def _tell_day(connection: Connection, of: Statement, now: datetime) -> None:
    """Let mints know how far the bank's statements reach: to the end of the day that this one closes."""
    if of.intraday or of.closing_minor is None or of.closed_on is None:
        return
    until = day_end(of.closed_on)
    tell_bank_data(connection, of.issuer_id, of.token_class_id, BankDataKind.STATEMENT, until, now=now)


def import_ahead(
    database: Database,
    settler: Settler,
    importer: Principal,
    file: StatementFile,
    *,
    on_progress: Callable[[int], None] | None = None,
) -> None:
    """Import what one transaction should not hold, in a transaction for each part, so that others get their turn.

    The rest, and the mark that the statements are whole, are left for `import_statement`. A file of one part is left
    to it altogether. `on_progress` is told how many entries of the file are in. Raises what `import_statement` does,
    before the first part is committed.
    """
    if not importer.sees_whole_issuer:
        raise StatementImportNotAllowedError
    if file.entry_count <= PART_SIZE_MAX:
        return
    taken = database.run(lambda connection: take_up(connection, settler, importer, file))
    entry_count = 0
    for group in _groups(_unfinished(taken)):
        length = sum(len(one.parsed.entries) for one in group)
        stored_count = 0
        while stored_count < length:
            stored_count, left_out = database.run(partial(_import_part, settler, importer, group))
            file.left_out.update(left_out)
            if on_progress is not None:
                on_progress(entry_count + stored_count)
        entry_count += length


def _groups(unfinished: Sequence[TakenUp]) -> Iterator[list[TakenUp]]:
    """Put short statements together as long as their entries are one part; a longer one stands alone."""
    group: list[TakenUp] = []
    length = 0
    for one in unfinished:
        if group and length + len(one.parsed.entries) > PART_SIZE_MAX:
            yield group
            group, length = [], 0
        group.append(one)
        length += len(one.parsed.entries)
    if group:
        yield group


def _import_part(
    settler: Settler, importer: Principal, group: Sequence[TakenUp], connection: Connection
) -> tuple[int, Counter[tuple[str, str]]]:
    """Import the next part of one long statement, or of several short ones; return how many entries are in then."""
    lock_control_accounts(connection, importer.issuer_id, [one.of_class for one in group])
    drafts = _next_drafts(connection, group, PART_SIZE_MAX)
    left_out = _import_entries(connection, settler, importer, drafts)
    last = {draft.statement.id: draft.entries[-1].sequence for draft in drafts}
    return sum(last.get(one.statement.id, len(one.parsed.entries)) for one in group), left_out


def _unfinished(taken: Sequence[TakenUp]) -> list[TakenUp]:
    """Return the statements that are not whole yet, each once however often the file has it."""
    return list({one.statement.id: one for one in taken if one.statement.completed_at is None}.values())


def _next_drafts(
    connection: Connection, taken: Sequence[TakenUp], size_max: int | None
) -> list[StatementDraft]:
    """Return the entries behind those that are in, `size_max` of each statement at most.

    Has to run behind the locks of the classes' control accounts, else two could take the same.
    """
    if not taken:
        return []
    refuse_abandoned(connection, [one.statement for one in taken])
    stored = store.read_entry_counts(
        connection, taken[0].statement.issuer_id, [one.statement.id for one in taken]
    )
    drafts = []
    for one in taken:
        first = stored.get(one.statement.id, 0)
        entries = one.parsed.entries[first : None if size_max is None else first + size_max]
        if entries:
            drafts.append(draft_of(one.statement, one.of_class, entries, waits=one.waits))
    return drafts


def _import_entries(
    connection: Connection, settler: Settler, importer: Principal, drafts: Sequence[StatementDraft]
) -> Counter[tuple[str, str]]:
    """Confirm what the entries show and write them; return the findings that were left out, by statement and code."""
    issuer_id = importer.issuer_id
    find_accounts(connection, drafts)
    link_notified(connection, issuer_id, drafts)
    link_confirmed_by_hand(connection, issuer_id, drafts)
    settle_credits(connection, settler, importer, drafts)
    left_out: Counter[tuple[str, str]] = Counter()
    for draft in drafts:
        of = draft.statement
        store.insert_entries(connection, issuer_id, draft.rows.values())
        notified_store.add_part_links(connection, issuer_id, draft.part_links)
        if draft.findings:
            kept = Counter(store.read_finding_counts(connection, issuer_id, of.id))
            for code, count in add_findings(connection, of, draft.findings, kept).items():
                left_out[of.id, code] += count
    record_notified(connection, issuer_id, drafts)
    return left_out


def _note_left_out(connection: Connection, of: Statement, left_out: Counter[tuple[str, str]]) -> None:
    """Tell how many findings are not listed, as far as they were counted in this process."""
    found = [
        finding("findings_suppressed", "statement", f"{count} more findings of code {code} are not listed.")
        for (statement_id, code), count in sorted(left_out.items())
        if statement_id == of.id
    ]
    if found:
        kept = Counter(store.read_finding_counts(connection, of.issuer_id, of.id))
        add_findings(connection, of, found, kept)


def _import_of(
    file: StatementFile, taken: Sequence[TakenUp], completed: dict[str, Statement]
) -> StatementImport:
    told: set[str] = set()
    imported = []
    for one in taken:
        statement = completed.get(one.statement.id, one.statement)
        # The second of two alike in one file was there before it.
        imported.append(ImportedStatement(statement, one.statement.id in completed.keys() - told))
        told.add(one.statement.id)
    return StatementImport(file.message.message_type, file.message.message_id, tuple(imported))
