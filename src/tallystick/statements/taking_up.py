"""Taking up a file's statements: whose each is, whether it was imported before, and how it follows what is there.

Only the statements themselves are written here, with what was found odd in them; their entries follow in parts.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import Connection

from tallystick import ledger, participants
from tallystick.core.errors import ConflictError, InvariantError, MalformedError
from tallystick.core.ids import new_id
from tallystick.core.money import currency_scale, format_amount
from tallystick.core.pipeline import pipelined
from tallystick.ledger import Code, ledger_account_id
from tallystick.participants import Principal, TokenClass
from tallystick.statements import store
from tallystick.statements.content import (
    bank_statement_id,
    closed_on,
    closing,
    opened_on,
    opening,
    rescale,
    to_class_minor,
)
from tallystick.statements.continuity import PreviousStatement, check_continuity, check_order
from tallystick.statements.drafts import contradictions
from tallystick.statements.files import StatementFile
from tallystick.statements.findings import FINDING_SEVERITIES, Finding
from tallystick.statements.matching import compact
from tallystick.statements.parsed import ParsedBalance, ParsedMessage, ParsedStatement
from tallystick.statements.records import Statement, StatementFinding
from tallystick.tokens import Settler

__all__ = [
    "StatementAccountUnknownError",
    "StatementConflictError",
    "StatementCurrencyMismatchError",
    "TakenUp",
    "add_findings",
    "finding",
    "lock_control_accounts",
    "take_up",
]

_FINDINGS_PER_CODE_MAX: Final = 50
_ABANDONED_MAX: Final = 20
_OVERLAPS: Final = "period_overlaps"


class StatementAccountUnknownError(MalformedError):
    """The account is no token class's backing account."""

    code = "statement_account_unknown"
    title = "The statement's account is not the backing account of any token class"


class StatementCurrencyMismatchError(MalformedError):
    """The account, or an entry on it, is in another currency than the token class."""

    code = "statement_currency_mismatch"
    title = "The statement is not in the token class's currency"


class StatementConflictError(ConflictError):
    """Another statement with this identification was imported for this account; `statement_id` names it."""

    code = "statement_conflict"
    title = "The bank has sent another statement under this identification"


@dataclass(frozen=True, slots=True)
class TakenUp:
    """A statement of the file as it is kept, its class, and what was read of it.

    `waits` says that nothing may be confirmed from it.
    """

    statement: Statement
    of_class: TokenClass
    parsed: ParsedStatement
    waits: bool


def take_up(
    connection: Connection, settler: Settler, importer: Principal, file: StatementFile
) -> list[TakenUp]:
    """Return the file's statements, in its order, each as it is kept: written now, or found from before.

    Takes the locks of their classes' control accounts, and holds them to the end of the transaction. Raises
    StatementAccountUnknownError, StatementCurrencyMismatchError, StatementAmountInexactError, and
    StatementConflictError; then nothing of the file may be kept.
    """
    message = file.message
    classes = _classes_of(connection, importer.issuer_id, message)
    lock_control_accounts(connection, importer.issuer_id, classes)
    taken: list[TakenUp] = []
    first_findings = list(_findings_of_message(message))
    for parsed, content_hash, of_class in zip(message.statements, file.content_hashes, classes, strict=True):
        new, known = _known(
            connection,
            _statement(settler, importer, file, parsed, content_hash, of_class),
            {one.statement.id for one in taken},
        )
        errors = contradictions(parsed) + _overlap(connection, known or new)
        if known is None:
            _write(connection, new, parsed, of_class, first_findings, errors)
            first_findings = []
        taken.append(TakenUp(known or new, of_class, parsed, bool(errors)))
    return taken


def lock_control_accounts(connection: Connection, issuer_id: str, classes: Sequence[TokenClass]) -> None:
    """Stand in line behind all that posts to these classes' control accounts (1100)."""
    # The control account's id sorts before those of holders, so this keeps to the write path's order of locks.
    control_ids = {ledger_account_id(Code.DEPOSITS_AT_CORE, of_class.id) for of_class in classes}
    with pipelined(connection) as pipeline:
        ledger.lock(pipeline, issuer_id, control_ids)


def _classes_of(connection: Connection, issuer_id: str, message: ParsedMessage) -> list[TokenClass]:
    """Return the token class of each statement, by its backing account."""
    by_account: dict[str, list[TokenClass]] = {}
    page = participants.token_classes(connection, issuer_id)
    while page:
        for of_class in page:
            number = of_class.backing_iban or of_class.backing_account_number or ""
            by_account.setdefault(compact(number), []).append(of_class)
        page = participants.token_classes(connection, issuer_id, after=page[-1].id)
    found = []
    for position, parsed in enumerate(message.statements, 1):
        candidates = by_account.get(compact(parsed.account_id))
        if not candidates:
            raise StatementAccountUnknownError(f"Stmt[{position}] is about another account.")
        fitting = [of_class for of_class in candidates if of_class.currency == parsed.currency]
        if not fitting:
            raise StatementCurrencyMismatchError(f"Stmt[{position}] is in {parsed.currency}.")
        _refuse_inexact(parsed, position, fitting[0])
        found.append(fitting[0])
    return found


def _refuse_inexact(parsed: ParsedStatement, position: int, of_class: TokenClass) -> None:
    """Refuse before anything is written what could not be kept in the end."""
    for entry in parsed.entries:
        where = f"Stmt[{position}]/Ntry[{entry.sequence}]"
        if entry.currency != parsed.currency:
            raise StatementCurrencyMismatchError(f"{where} is in {entry.currency}.")
        to_class_minor(entry.amount_minor, entry.currency, of_class.scale, where)


def _statement(
    settler: Settler,
    importer: Principal,
    file: StatementFile,
    parsed: ParsedStatement,
    content_hash: bytes,
    of_class: TokenClass,
) -> Statement:
    return Statement(
        issuer_id=importer.issuer_id,
        id=new_id("statement"),
        token_class_id=of_class.id,
        message_type=file.message.message_type,
        message_id=file.message.message_id,
        bank_account=compact(parsed.account_id),
        bank_statement_id=bank_statement_id(parsed),
        sequence_number=parsed.electronic_sequence_number,
        currency=parsed.currency,
        opened_on=opened_on(parsed),
        closed_on=closed_on(parsed),
        opening_minor=_balance_minor(opening(parsed), of_class),
        closing_minor=_balance_minor(closing(parsed), of_class),
        entry_count=len(parsed.entries),
        content_hash=content_hash,
        file_hash=file.file_hash,
        imported_by=importer.id,
        imported_at=settler.clock.now(),
    )


def _balance_minor(balance: ParsedBalance | None, of_class: TokenClass) -> int | None:
    if balance is None:
        return None
    return to_class_minor(balance.signed_minor, balance.currency, of_class.scale, f"Bal {balance.type_code}")


def _known(
    connection: Connection, new: Statement, just_added: set[str]
) -> tuple[Statement, Statement | None]:
    """Return `new`, and what was imported under the bank's identification if it is the same; refuse another one.

    One that was abandoned keeps its name: what comes in its stead has a number behind it (`S-1~2`).

    The same file is the same statement even if an earlier release read it otherwise, unless that one stopped half
    way; within one file only the content can tell two statements of one name apart.
    """
    known = None
    for number in range(1, _ABANDONED_MAX + 2):
        name = new.bank_statement_id if number == 1 else f"{new.bank_statement_id}~{number}"
        known = store.read_by_bank_id(connection, new.issuer_id, new.bank_account, new.message_type, name)
        if known is None or known.abandoned_at is None:
            new = replace(new, bank_statement_id=name)
            break
    if known is None or (known.abandoned_at is None and known.content_hash == new.content_hash):
        return new, known
    whole = known.completed_at is not None
    if known.file_hash == new.file_hash and whole and known.id not in just_added:
        return new, known
    raise StatementConflictError(statement_id=known.id)


def _overlap(connection: Connection, statement: Statement) -> list[str]:
    """Return the code of a CSV file that tells of days of which a statement is in: its rows are those of a person.

    Other formats name their statements, and the same day is then another statement.
    """
    if statement.message_type != "CSV" or statement.opened_on is None:
        return []
    last = store.read_last_day(connection, statement.issuer_id, statement.token_class_id, statement.id)
    return [_OVERLAPS] if last is not None and last >= statement.opened_on else []


def _write(
    connection: Connection,
    new: Statement,
    parsed: ParsedStatement,
    of_class: TokenClass,
    first_findings: Sequence[Finding],
    errors: Sequence[str],
) -> None:
    """Write a new statement and what was found odd in it as a whole; `errors` are why nothing is confirmed from it."""
    found = [*first_findings, *parsed.findings, *_continuity(connection, new, parsed, of_class)]
    if _OVERLAPS in errors:
        found.append(finding(_OVERLAPS, "statement", "A statement of its first day, or a later one, is in."))
    if errors:
        why = "overlaps with another" if _OVERLAPS in errors else "contradicts itself"
        whom = "the statement" if new.intraday else "assignment"
        message = f"The statement {why} ({', '.join(errors)}): its credits wait for {whom}."
        found.append(finding("deposits_not_confirmed", "statement", message))
    # Written at once, so that a second statement of the same name in this very message meets it.
    if not store.add(connection, new):
        raise InvariantError("a statement appeared behind the lock of its token class")
    add_findings(connection, new, found, Counter())


def _continuity(
    connection: Connection, new: Statement, parsed: ParsedStatement, of_class: TokenClass
) -> list[Finding]:
    """Return the breaks between this statement and those right before and behind it in time."""
    if parsed.page is not None and parsed.page.number > 1:
        return []
    if new.intraday:
        earlier = store.read_previous_report(connection, new)
        return [] if earlier is None else list(check_order(_as_previous(earlier, parsed, of_class), parsed))
    before = store.read_neighbour(connection, new, later=False)
    previous = None if before is None else _as_previous(before, parsed, of_class)
    findings = list(check_continuity(previous, parsed))
    behind = store.read_neighbour(connection, new, later=True)
    if behind is None:
        return findings
    findings.append(
        finding(
            "sequence_not_ascending", "statement", "A later statement of the account was imported before."
        )
    )
    if None not in (new.closing_minor, behind.opening_minor) and new.closing_minor != behind.opening_minor:
        findings.append(
            finding(
                "opening_differs_from_previous_closing",
                "statement",
                f"The statement closes at {_words(new.closing_minor, of_class)}, but the one behind it, imported "
                f"before, opens at {_words(behind.opening_minor, of_class)}.",
            )
        )
    return findings


def _as_previous(before: Statement, parsed: ParsedStatement, of_class: TokenClass) -> PreviousStatement:
    closing_minor = rescale(before.closing_minor or 0, of_class.scale, currency_scale(parsed.currency))
    assert closing_minor is not None  # It came from this scale.
    return PreviousStatement(
        statement_id=before.bank_statement_id,
        electronic_sequence_number=before.sequence_number,
        currency=before.currency,
        closing_minor=closing_minor,
        closing_date=before.closed_on,
    )


def _words(minor: int | None, of_class: TokenClass) -> str:
    return f"{of_class.currency} {format_amount(minor or 0, of_class.scale)}"


def _findings_of_message(message: ParsedMessage) -> tuple[Finding, ...]:
    """Return the findings about the message itself, which stand before those of its statements."""
    return message.findings[: len(message.findings) - sum(len(one.findings) for one in message.statements)]


def add_findings(
    connection: Connection, of: Statement, found: Sequence[Finding], kept: Counter[str]
) -> Counter[str]:
    """Write findings behind those that are kept, and return how many of each code were left out.

    `kept` counts those that are kept already; of one code only the first few are.
    """
    counts = Counter(kept)
    left_out: Counter[str] = Counter()
    rows = []
    for one in found:
        if counts[one.code] >= _FINDINGS_PER_CODE_MAX:
            left_out[one.code] += 1
            continue
        counts[one.code] += 1
        rows.append(StatementFinding(of.id, counts.total(), one.code, one.severity, one.where, one.message))
    store.insert_findings(connection, of.issuer_id, rows)
    return left_out


def finding(code: str, where: str, message: str) -> Finding:
    """Return a finding of a known code."""
    return Finding(code, FINDING_SEVERITIES[code], where, message)
