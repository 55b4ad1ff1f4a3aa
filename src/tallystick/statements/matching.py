"""Which account a credit on the backing account is for: by the reference that the payer wrote, else by who paid.

A reference counts only as a whole word, as it is registered or in capitals. What points to two accounts, or whose
transactions point to different ones, is left for a person: a deposit on the wrong account is worse than one that
waits.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from tallystick.participants import Account
from tallystick.statements.parsed import ParsedEntry, ParsedEntryDetail

__all__ = ["AccountIndex", "Match", "MatchedBy", "compact", "match", "payers_of", "words_of"]

_PUNCTUATION: Final = ".,:;!?'\"`()[]{}<>/\\|+*#=_-"
#: Within a word that is parted by blanks, everything but letters, digits, `_` and `-` parts further words.
_INNER_BREAK: Final = re.compile(r"[^\w-]+")
#: ISO 20022's way to say that the payer gave no reference.
_NOT_PROVIDED: Final = "NOTPROVIDED"


class MatchedBy(StrEnum):
    """What a credit was recognised by.

    `confirmed_by_hand`: by one of the others, and by the deposit that two people had confirmed for it before.
    `notified`: by the bank's references, or by one of the others, and by the deposit that an earlier report or
    notification had become; `notified_in_parts`: by several of them, or with other credits by one. `retold`: likewise,
    and the deposit had come of a statement that was abandoned. `told_before`: by the bank's references, in a report or
    notification that repeats one. `payout_return`: it names a payout, which it gives back.
    """

    REFERENCE = "reference"
    IBAN = "iban"
    ACCOUNT_NUMBER = "account_number"
    CONFIRMED_BY_HAND = "confirmed_by_hand"
    NOTIFIED = "notified"
    NOTIFIED_IN_PARTS = "notified_in_parts"
    RETOLD = "retold"
    TOLD_BEFORE = "told_before"
    PAYOUT_RETURN = "payout_return"


class Match(NamedTuple):
    """The account that a credit is for, and how that is known. Without an account the clues were `ambiguous`."""

    account_id: str | None
    matched_by: MatchedBy | None

    @property
    def ambiguous(self) -> bool:
        """True if there are clues, and they point to more than one account."""
        return self.account_id is None


@dataclass(slots=True)
class AccountIndex:
    """The accounts of one token class that a statement may be talking of, by what they are recognised by."""

    by_reference: dict[str, str] = field(default_factory=dict)
    by_iban: dict[str, str] = field(default_factory=dict)
    by_account_number: dict[str, str] = field(default_factory=dict)

    def add(self, accounts: Iterable[Account]) -> None:
        """Take up accounts; the database holds each clue to be unique in a class."""
        for account in accounts:
            self.by_reference[account.reference] = account.id
            if account.deposit_iban is not None:
                self.by_iban[account.deposit_iban] = account.id
            if account.deposit_account_number is not None:
                self.by_account_number[compact(account.deposit_account_number)] = account.id


def words_of(entry: ParsedEntry) -> set[str]:
    """Return every word of an entry that could be an account's reference."""
    words: set[str] = set()
    for text in _texts_of_entry(entry):
        words |= _words(text)
    return words


def payers_of(entry: ParsedEntry) -> set[str]:
    """Return the debtors' account numbers and IBANs of an entry, as written and without blanks."""
    found: set[str] = set()
    for detail in entry.details:
        for number in (detail.debtor_iban, detail.debtor_account):
            if number is not None:
                found |= {number, compact(number)}
    return found


def match(entry: ParsedEntry, index: AccountIndex) -> Match | None:
    """Return the account that a booked credit is for, or None without any clue.

    An entry of several transactions (a batch) has a match only if each of them points to the same account.
    """
    if not entry.details:
        return _match_texts(_texts_of_entry(entry), index)
    matches = [_match_detail(detail, index) for detail in entry.details]
    known = [one for one in matches if one is not None]
    if not known:
        return None
    if len({one.account_id for one in known}) > 1 or len(known) < len(matches):
        return _AMBIGUOUS
    return known[0]


_AMBIGUOUS: Final = Match(None, None)


def _match_detail(detail: ParsedEntryDetail, index: AccountIndex) -> Match | None:
    by_reference = _match_texts(_texts_of_detail(detail), index)
    if by_reference is not None:
        return by_reference
    matches: set[Match] = set()
    for number in (detail.debtor_iban, detail.debtor_account):
        if number is None:
            continue
        # Some banks write an IBAN where other numbers stand.
        account_id = index.by_iban.get(compact(number))
        if account_id is not None:
            matches.add(Match(account_id, MatchedBy.IBAN))
        account_id = index.by_account_number.get(compact(number))
        if account_id is not None:
            matches.add(Match(account_id, MatchedBy.ACCOUNT_NUMBER))
    return _only(matches)


def _match_texts(texts: Iterable[str], index: AccountIndex) -> Match | None:
    found = {
        Match(index.by_reference[word], MatchedBy.REFERENCE)
        for text in texts
        for word in _words(text)
        if word in index.by_reference
    }
    return _only(found)


def _only(matches: set[Match]) -> Match | None:
    if len(matches) > 1:
        return _AMBIGUOUS
    return next(iter(matches), None)


def _texts_of_entry(entry: ParsedEntry) -> list[str]:
    if not entry.details:
        # A bank that lists no transactions tells all it knows in this one text.
        return [entry.additional_information] if entry.additional_information else []
    return [text for detail in entry.details for text in _texts_of_detail(detail)]


def _texts_of_detail(detail: ParsedEntryDetail) -> list[str]:
    texts = [detail.remittance_information, *detail.creditor_references]
    if detail.end_to_end_id != _NOT_PROVIDED:
        texts.append(detail.end_to_end_id)
    return [text for text in texts if text]


def _words(text: str) -> set[str]:
    words = {text.strip()}
    for word in text.split():
        words |= {word, word.strip(_PUNCTUATION)}
        words.update(part.strip(_PUNCTUATION) for part in _INNER_BREAK.split(word))
    words.discard("")
    return words | {word.upper() for word in words}


def compact(number: str) -> str:
    """Return an account number without blanks, in capitals."""
    return "".join(number.split()).upper()
