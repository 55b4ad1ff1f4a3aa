"""Importing a statement: every credit that the bank shows becomes a deposit, once, and nothing is ever guessed.

A message is imported whole or not at all, in the caller's one transaction. Imports into one token class stand in line
behind the class's control account (1100), which is also what they post to, so that each sees what the one before it
left; the unique key of the bank's own identification holds even if that were not so.
"""

import hashlib
from collections import Counter
from typing import Final

from sqlalchemy import Connection

from tallystick import ledger, participants
from tallystick.core.errors import ConflictError, DeniedError, InvariantError, MalformedError
from tallystick.core.ids import new_id
from tallystick.core.money import currency_scale, format_amount
from tallystick.core.pipeline import pipelined
from tallystick.ledger import Code, ledger_account_id
from tallystick.participants import Principal, TokenClass
from tallystick.statements import store
from tallystick.statements.by_hand import link_confirmed_by_hand
from tallystick.statements.camt import parse_camt
from tallystick.statements.content import (
    bank_statement_id,
    closed_on,
    closing,
    content_hash,
    entry_row,
    opened_on,
    opening,
    rescale,
    to_class_minor,
)
from tallystick.statements.continuity import PreviousStatement, check_continuity
from tallystick.statements.crediting import StatementDraft, find_accounts, settle_credits
from tallystick.statements.findings import FINDING_SEVERITIES, Finding
from tallystick.statements.matching import compact
from tallystick.statements.parsed import ParsedBalance, ParsedMessage, ParsedStatement
from tallystick.statements.records import ImportedStatement, Statement, StatementFinding, StatementImport
from tallystick.tokens import Settler

__all__ = [
    "StatementAccountUnknownError",
    "StatementConflictError",
    "StatementCurrencyMismatchError",
    "StatementImportNotAllowedError",
    "StatementTypeNotImportedError",
    "import_statement",
]

_FINDINGS_PER_CODE_MAX: Final = 50


class StatementImportNotAllowedError(DeniedError):
    """Only the issuer's own people confirm deposits."""

    code = "statement_import_not_allowed"
    title = "Not allowed to import statements"


class StatementTypeNotImportedError(MalformedError):
    """A report or notification: it may change until the statement comes, so nothing is confirmed from it."""

    code = "statement_type_not_imported"
    title = "Only end-of-day statements (camt.053) are imported"


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


def import_statement(
    connection: Connection, settler: Settler, importer: Principal, content: bytes, *, size_max_bytes: int
) -> StatementImport:
    """Import every statement of a camt.053 message of `importer`'s issuer; the caller commits.

    Each booked credit that is no reversal becomes a deposit: confirmed to the account that its reference or its payer
    points to, or unassigned, waiting for a person. It waits too if the account can't be credited, if the entry looks
    like one that was imported before, and if the statement contradicts itself. All that is odd is kept as findings.
    A credit for which people had confirmed a deposit by hand is linked to that one, and nothing is confirmed again.

    A statement that was imported before, whatever the file's encoding, changes nothing (`imported` is False). Raises
    StatementImportNotAllowedError, what `parse_camt` raises, StatementTypeNotImportedError,
    StatementAccountUnknownError, StatementCurrencyMismatchError, StatementAmountInexactError, and
    StatementConflictError. The file is read before the first statement goes to the database.
    """
    if not importer.sees_whole_issuer:
        raise StatementImportNotAllowedError
    message = parse_camt(content, size_max_bytes=size_max_bytes)
    if message.message_type != "camt.053":
        raise StatementTypeNotImportedError(f"This is a {message.message_type}.")
    file_hash = hashlib.sha256(content).digest()
    classes = _classes_of(connection, importer.issuer_id, message)
    _stand_in_line(connection, importer.issuer_id, classes)
    imported: list[ImportedStatement] = []
    drafts: list[StatementDraft] = []
    for parsed, of_class in zip(message.statements, classes, strict=True):
        new = _statement(settler, importer, message, parsed, of_class, file_hash)
        known = _known(connection, new, {draft.statement.id for draft in drafts})
        if known is not None:
            imported.append(ImportedStatement(known, imported=False))
            continue
        drafts.append(_draft(connection, new, parsed, of_class))
        imported.append(ImportedStatement(new, imported=True))
    if drafts:
        drafts[0].findings[:0] = _findings_of_message(message)
    find_accounts(connection, drafts)
    link_confirmed_by_hand(connection, importer.issuer_id, drafts)
    settle_credits(connection, settler, importer, drafts)
    for draft in drafts:
        store.insert_entries(connection, importer.issuer_id, draft.rows)
        store.insert_findings(connection, importer.issuer_id, _finding_rows(draft))
    return StatementImport(message.message_type, message.message_id, tuple(imported))


def _stand_in_line(connection: Connection, issuer_id: str, classes: list[TokenClass]) -> None:
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
        for entry in parsed.entries:
            if entry.currency != parsed.currency:
                raise StatementCurrencyMismatchError(
                    f"Stmt[{position}]/Ntry[{entry.sequence}] is in {entry.currency}."
                )
        found.append(fitting[0])
    return found


def _statement(
    settler: Settler,
    importer: Principal,
    message: ParsedMessage,
    parsed: ParsedStatement,
    of_class: TokenClass,
    file_hash: bytes,
) -> Statement:
    return Statement(
        issuer_id=importer.issuer_id,
        id=new_id("statement"),
        token_class_id=of_class.id,
        message_type=message.message_type,
        message_id=message.message_id,
        bank_account=compact(parsed.account_id),
        bank_statement_id=bank_statement_id(parsed),
        sequence_number=parsed.electronic_sequence_number,
        currency=parsed.currency,
        opened_on=opened_on(parsed),
        closed_on=closed_on(parsed),
        opening_minor=_balance_minor(opening(parsed), of_class),
        closing_minor=_balance_minor(closing(parsed), of_class),
        entry_count=len(parsed.entries),
        content_hash=content_hash(message.message_type, parsed),
        file_hash=file_hash,
        imported_by=importer.id,
        imported_at=settler.clock.now(),
    )


def _balance_minor(balance: ParsedBalance | None, of_class: TokenClass) -> int | None:
    if balance is None:
        return None
    return to_class_minor(balance.signed_minor, balance.currency, of_class.scale, f"Bal {balance.type_code}")


def _known(connection: Connection, new: Statement, just_added: set[str]) -> Statement | None:
    """Return what was imported under the bank's identification if it is the same statement, or refuse another one.

    The same file is the same statement even if an earlier release read it otherwise; within one file only the content
    can tell two statements of one name apart.
    """
    known = store.read_by_bank_id(
        connection, new.issuer_id, new.bank_account, new.message_type, new.bank_statement_id
    )
    if known is None or known.content_hash == new.content_hash:
        return known
    if known.file_hash == new.file_hash and known.id not in just_added:
        return known
    raise StatementConflictError(statement_id=known.id)


def _draft(
    connection: Connection, new: Statement, parsed: ParsedStatement, of_class: TokenClass
) -> StatementDraft:
    rows = [entry_row(entry, new.id, of_class.scale) for entry in parsed.entries]
    findings = [*parsed.findings, *_continuity(connection, new, parsed, of_class)]
    # Written at once, so that a second statement of the same name in this very message meets it.
    if not store.add(connection, new):
        raise InvariantError("a statement appeared behind the lock of its token class")
    return StatementDraft(new, of_class, parsed, rows, findings)


def _continuity(
    connection: Connection, new: Statement, parsed: ParsedStatement, of_class: TokenClass
) -> list[Finding]:
    """Return the breaks between this statement and those right before and behind it in time."""
    if parsed.page is not None and parsed.page.number > 1:
        return []
    scale = currency_scale(parsed.currency)
    before = store.read_neighbour(connection, new, later=False)
    previous = None
    if before is not None:
        closing_minor = rescale(before.closing_minor or 0, of_class.scale, scale)
        assert closing_minor is not None  # It came from this scale.
        previous = PreviousStatement(
            statement_id=before.bank_statement_id,
            electronic_sequence_number=before.sequence_number,
            currency=before.currency,
            closing_minor=closing_minor,
            closing_date=before.closed_on,
        )
    findings = list(check_continuity(previous, parsed))
    behind = store.read_neighbour(connection, new, later=True)
    if behind is None:
        return findings
    findings.append(
        _finding(
            "sequence_not_ascending", "statement", "A later statement of the account was imported before."
        )
    )
    if None not in (new.closing_minor, behind.opening_minor) and new.closing_minor != behind.opening_minor:
        findings.append(
            _finding(
                "opening_differs_from_previous_closing",
                "statement",
                f"The statement closes at {_words(new.closing_minor, of_class)}, but the one behind it, imported "
                f"before, opens at {_words(behind.opening_minor, of_class)}.",
            )
        )
    return findings


def _words(minor: int | None, of_class: TokenClass) -> str:
    return f"{of_class.currency} {format_amount(minor or 0, of_class.scale)}"


def _findings_of_message(message: ParsedMessage) -> tuple[Finding, ...]:
    """Return the findings about the message itself, which stand before those of its statements."""
    return message.findings[: len(message.findings) - sum(len(one.findings) for one in message.statements)]


def _finding_rows(draft: StatementDraft) -> list[StatementFinding]:
    """Number the findings; of one code only the first few are kept, and how many more there were."""
    kept: list[Finding] = []
    counts: Counter[str] = Counter()
    for finding in draft.findings:
        counts[finding.code] += 1
        if counts[finding.code] <= _FINDINGS_PER_CODE_MAX:
            kept.append(finding)
    kept += [
        _finding(
            "findings_suppressed",
            "statement",
            f"{count - _FINDINGS_PER_CODE_MAX} more findings of code {code} are not listed.",
        )
        for code, count in sorted(counts.items())
        if count > _FINDINGS_PER_CODE_MAX
    ]
    return [
        StatementFinding(draft.statement.id, number, one.code, one.severity, one.where, one.message)
        for number, one in enumerate(kept, 1)
    ]


def _finding(code: str, where: str, message: str) -> Finding:
    return Finding(code, FINDING_SEVERITIES[code], where, message)
