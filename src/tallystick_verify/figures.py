"""Every figure of the pack, worked out anew from the replay and compared byte for byte.

The files are written in one way only, so a row that differs in anything differs in its bytes.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, Final

from tallystick_verify.canonical import JsonRefusedError, parse
from tallystick_verify.chart import CHART, CLAIM_CODES, DEBIT_NORMAL_CODES, HOLDER_CODES
from tallystick_verify.events import Event, format_amount
from tallystick_verify.failures import ExitCode, Failure
from tallystick_verify.replay import LedgerAccount, Posted, Replay, TokenClass

__all__ = [
    "ACCOUNT_MEMBERS",
    "Journal",
    "Movements",
    "balance_row",
    "check_balances",
    "check_register",
    "check_totals",
    "check_trial_balance",
    "compare",
    "compare_all",
    "differs",
    "journal_row",
    "journal_text",
    "liability_row",
    "parsed",
]

_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
ACCOUNT_MEMBERS: Final = ("account_id", "holder_id", "token_class_id", "currency", "opened_at")


@dataclass(slots=True)
class _Sums:
    debits_minor: int = 0
    credits_minor: int = 0


@dataclass(slots=True)
class Movements:
    """What moved within the period, by token class and code; and how much there was of it."""

    sums: dict[tuple[str, str], _Sums] = field(default_factory=dict)
    entries: dict[str, int] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)

    def add(self, event: Event) -> None:
        """Add an event of the period."""
        class_id = event.token_class_id
        if event.lines:
            self.entries[class_id] = self.entries.get(class_id, 0) + 1
            self.lines[class_id] = self.lines.get(class_id, 0) + len(event.lines)
        for line in event.lines:
            sums = self.sums.setdefault((class_id, line.code), _Sums())
            sums.debits_minor += line.debit_minor
            sums.credits_minor += line.credit_minor

    def of(self, class_id: str, code: str) -> _Sums:
        """Return a code's movements."""
        return self.sums.get((class_id, code), _Sums())


class Journal:
    """Reads `journal.jsonl` beside the log."""

    def __init__(self, rows: Iterator[bytes]) -> None:
        self._rows = rows
        self._lost = False
        self.line_count = 0

    def check(self, event: Event, posted: Sequence[Posted]) -> None:
        """Raise Failure (figures) unless the next rows are what the event posted."""
        # One row too few or too many, and all that follow would seem to be wrong as well.
        if self._lost:
            return
        self._lost = True
        for number, one in enumerate(posted):
            line = next(self._rows, None)
            if line != journal_text(event, number, one):
                compare(line, journal_row(event, number, one), "journal.jsonl")
            self.line_count += 1
        self._lost = False

    def finish(self) -> str:
        """Return what was checked; raises Failure (figures) if the journal has more than the log."""
        if not self._lost:
            compare(next(self._rows, None), None, "journal.jsonl")
        return f"{self.line_count:,} lines, account versions without gaps"


def check_balances(replay: Replay, rows: Iterator[bytes]) -> str:
    """Compare `balances.jsonl`; return what was checked. Raises Failure (figures)."""
    return compare_all(
        rows,
        (
            balance_row(account_id, account, of_class)
            for of_class in _classes(replay)
            for account_id, account in _accounts(replay, of_class)
        ),
        "balances.jsonl",
    )


def check_trial_balance(replay: Replay, movements: Movements, rows: Iterator[bytes]) -> str:
    """Compare `trial_balance.jsonl`; return what was checked. Raises Failure (figures)."""
    return compare_all(
        rows,
        (
            _trial_balance_row(of_class, code, sums, movements)
            for of_class in _classes(replay)
            for code, sums in _by_code(replay, of_class).items()
        ),
        "trial_balance.jsonl",
    )


def check_totals(replay: Replay, movements: Movements, told: Any) -> str:
    """Compare the manifest's control totals, supply among them; return what was checked. Raises Failure (figures)."""
    totals = []
    for of_class in _classes(replay):
        codes = _by_code(replay, of_class)
        if codes:
            totals.append(_control_total(of_class, codes, movements))
    if told != totals:
        raise differs("The manifest's control totals are not what the signed events come to.")
    return f"{len(totals)} token classes, supply as replayed"


def check_register(replay: Replay, accounts: Iterator[bytes], liabilities: Iterator[bytes]) -> str:
    """Compare `accounts.jsonl` and the register in `liabilities.jsonl`; return what was checked.

    Whose an account is the events do not tell, so that is taken from the pack; that no account is left out, and every
    amount, is checked. Raises Failure (figures).
    """
    owners = _owners(replay, accounts)
    claims: dict[tuple[str, str], list[LedgerAccount]] = {}
    for account in replay.accounts.values():
        if account.code in CLAIM_CODES:
            claims.setdefault((account.token_class_id, owners[account.owner]), []).append(account)
    count = 0
    for line in liabilities:
        count += 1
        row = parsed(line, "liabilities.jsonl")
        key = (str(row.get("token_class_id")), str(row.get("holder_id")))
        touched = claims.pop(key, None)
        if touched is None:
            raise differs("The register has a record that no claim belongs to.", "liabilities.jsonl")
        compare(line, liability_row(row, touched, replay.classes[key[0]]), "liabilities.jsonl")
    if claims:
        raise differs("The register leaves out what is owed to somebody.", "liabilities.jsonl")
    return f"{count:,} rows equal"


def _owners(replay: Replay, rows: Iterator[bytes]) -> dict[str, str]:
    owners: dict[str, str] = {}
    for line in rows:
        row = parsed(line, "accounts.jsonl")
        account_id = str(row.get("account_id"))
        of_class = replay.classes.get(str(row.get("token_class_id")))
        if not all(isinstance(value, str) for value in row.values()):
            raise differs("A row has a member of another type than expected.", "accounts.jsonl")
        if tuple(row) != ACCOUNT_MEMBERS or account_id in owners or of_class is None:
            raise differs("A row is malformed, or tells of an account twice.", "accounts.jsonl")
        if (replay.class_of_account.get(account_id), of_class.currency) != (of_class.id, row["currency"]):
            raise differs("An account is told that the log does not have.", "accounts.jsonl")
        owners[account_id] = str(row["holder_id"])
    wanted = {one.owner for one in replay.accounts.values() if one.code in HOLDER_CODES}
    if owners.keys() != wanted:
        raise differs("The accounts are not those that the log posted to.", "accounts.jsonl")
    return owners


def _classes(replay: Replay) -> list[TokenClass]:
    return sorted(replay.classes.values(), key=lambda one: one.currency)


def _accounts(replay: Replay, of_class: TokenClass) -> list[tuple[str, LedgerAccount]]:
    return sorted(
        (account_id, account)
        for account_id, account in replay.accounts.items()
        if account.token_class_id == of_class.id
    )


def _by_code(replay: Replay, of_class: TokenClass) -> dict[str, tuple[int, int]]:
    """Return opening and closing balance of each code that was ever posted to, in the chart's order."""
    found: dict[str, tuple[int, int]] = {}
    for account in replay.accounts.values():
        if account.token_class_id == of_class.id:
            opening_minor, balance_minor = found.get(account.code, (0, 0))
            found[account.code] = (
                opening_minor + account.opening_minor,
                balance_minor + account.balance_minor,
            )
    return {code: found[code] for code in CHART if code in found}


def journal_row(event: Event, number: int, posted: Posted) -> dict[str, Any]:
    """Return the row of `journal.jsonl` that an event's line leads to; `number` is its place in the entry."""
    line, scale = posted.line, event.scale
    return {
        "event_index": event.index,
        "line_number": number,
        "event_id": event.id,
        "event_type": event.type,
        "instruction_id": event.instruction_id,
        "booked_at": event.booked_at,
        "value_date": event.value_date,
        "ledger_account_id": line.account,
        "code": line.code,
        "name": CHART[line.code][0],
        "account_id": line.account[5:] if line.code in HOLDER_CODES else None,
        "token_class_id": event.token_class_id,
        "currency": event.currency,
        "debit": format_amount(line.debit_minor, scale) if line.debit_minor else None,
        "credit": format_amount(line.credit_minor, scale) if line.credit_minor else None,
        "previous_balance": format_amount(posted.previous_minor, scale),
        "balance": format_amount(posted.balance_minor, scale),
        "account_version": posted.version,
    }


def journal_text(event: Event, number: int, posted: Posted) -> bytes:
    """Return `journal_row` as it is written. Of all files it has the most rows, and no text in them needs an escape."""
    line, scale = posted.line, event.scale
    account = f'"{line.account[5:]}"' if line.code in HOLDER_CODES else "null"
    debit = f'"{format_amount(line.debit_minor, scale)}"' if line.debit_minor else "null"
    credit = f'"{format_amount(line.credit_minor, scale)}"' if line.credit_minor else "null"
    return (
        f'{{"event_index":{event.index},"line_number":{number},"event_id":"{event.id}","event_type":"{event.type}",'
        f'"instruction_id":"{event.instruction_id}","booked_at":"{event.booked_at}","value_date":"{event.value_date}",'
        f'"ledger_account_id":"{line.account}","code":"{line.code}","name":"{CHART[line.code][0]}",'
        f'"account_id":{account},"token_class_id":"{event.token_class_id}","currency":"{event.currency}",'
        f'"debit":{debit},"credit":{credit},"previous_balance":"{format_amount(posted.previous_minor, scale)}",'
        f'"balance":"{format_amount(posted.balance_minor, scale)}","account_version":{posted.version}}}'
    ).encode()


def balance_row(account_id: str, account: LedgerAccount, of_class: TokenClass) -> dict[str, Any]:
    """Return the row of `balances.jsonl` that a ledger account leads to."""
    name, debit_normal = CHART[account.code]
    return {
        "ledger_account_id": account_id,
        "code": account.code,
        "name": name,
        "account_id": account.owner if account.code in HOLDER_CODES else None,
        "token_class_id": of_class.id,
        "currency": of_class.currency,
        "normal_balance": "debit" if debit_normal else "credit",
        "opening_balance": format_amount(account.opening_minor, of_class.scale),
        "balance": format_amount(account.balance_minor, of_class.scale),
        "last_event_index": account.last_index,
    }


def _trial_balance_row(
    of_class: TokenClass, code: str, sums: tuple[int, int], movements: Movements
) -> dict[str, Any]:
    scale, (opening_minor, balance_minor) = of_class.scale, sums
    moved = movements.of(of_class.id, code)
    on_debit_side = (code in DEBIT_NORMAL_CODES) == (balance_minor >= 0)
    on_its_side = format_amount(abs(balance_minor), scale)
    return {
        "token_class_id": of_class.id,
        "currency": of_class.currency,
        "code": code,
        "name": CHART[code][0],
        "opening_balance": format_amount(opening_minor, scale),
        "debits": format_amount(moved.debits_minor, scale),
        "credits": format_amount(moved.credits_minor, scale),
        "balance": format_amount(balance_minor, scale),
        "debit_balance": on_its_side if on_debit_side else None,
        "credit_balance": None if on_debit_side else on_its_side,
    }


def _control_total(
    of_class: TokenClass, codes: dict[str, tuple[int, int]], movements: Movements
) -> dict[str, Any]:
    scale = of_class.scale
    claims = [sums for code, sums in codes.items() if code in CLAIM_CODES]
    return {
        "token_class_id": of_class.id,
        "currency": of_class.currency,
        "scale": scale,
        "entries": movements.entries.get(of_class.id, 0),
        "lines": movements.lines.get(of_class.id, 0),
        "debits": format_amount(sum(movements.of(of_class.id, code).debits_minor for code in codes), scale),
        "credits": format_amount(sum(movements.of(of_class.id, code).credits_minor for code in codes), scale),
        "opening_supply": format_amount(sum(opening for opening, _ in claims), scale),
        "supply": format_amount(sum(balance for _, balance in claims), scale),
        "ties": True,
    }


def liability_row(
    told: dict[str, Any], touched: Sequence[LedgerAccount], of_class: TokenClass
) -> dict[str, Any]:
    """Return the row of `liabilities.jsonl` that a holder's ledger accounts in a class lead to."""
    own = (told.get("liability_id"), told.get("holder_id"), told.get("opened_at"))
    if not all(isinstance(one, str) for one in own) or type(told.get("terms_version")) is not int:
        raise differs("A record has a member of another type than expected.", "liabilities.jsonl")
    by_code = dict.fromkeys(CLAIM_CODES, 0)
    for account in touched:
        by_code[account.code] += account.balance_minor
    amounts = [format_amount(by_code[code], of_class.scale) for code in CLAIM_CODES]
    return {
        "liability_id": told.get("liability_id"),
        "holder_id": told.get("holder_id"),
        "token_class_id": of_class.id,
        "currency": of_class.currency,
        "terms_version": told.get("terms_version"),
        "opened_at": told.get("opened_at"),
        "since": min(account.first_booked_at for account in touched),
        "last_event_index": max(account.last_index for account in touched),
        **dict(zip(("available", "held", "pledged", "restricted", "dormant"), amounts, strict=True)),
        "total": format_amount(sum(by_code.values()), of_class.scale),
    }


def compare_all(rows: Iterator[bytes], expected: Iterator[dict[str, Any]], name: str) -> str:
    """Compare all rows of a file; return what was checked. Raises Failure (figures)."""
    count = 0
    for line, row in zip_longest(rows, expected):
        compare(line, row, name)
        count += 1
    return f"{count:,} rows equal"


def compare(line: bytes | None, expected: dict[str, Any] | None, name: str) -> None:
    """Raise Failure (figures) unless a row is written as it is expected to be; None is no row."""
    if line is None and expected is None:
        return
    if line is None:
        raise differs("Rows are missing.", name)
    if expected is None:
        raise differs("There are rows that the signed events do not lead to.", name)
    if line != _ENCODER.encode(expected).encode():
        told = parsed(line, name)
        differing = sorted(
            member for member in expected.keys() | told.keys() if told.get(member) != expected.get(member)
        )
        raise differs(
            f"A row differs from what the signed events lead to, in {', '.join(differing) or 'its spelling'}: "
            f"expected {expected}.",
            name,
        )


def parsed(line: bytes, name: str) -> dict[str, Any]:
    """Return a row as an object; raises Failure (figures)."""
    try:
        found = parse(line)
    except JsonRefusedError as error:
        raise differs(f"A row is malformed: {error}.", name) from None
    if not isinstance(found, dict):
        raise differs("A row is no object.", name)
    return found


def differs(message: str, place: str = "manifest.json") -> Failure:
    """Return the failure of a figure that is not what the signed events lead to."""
    return Failure(ExitCode.FIGURES, message, place=place)
