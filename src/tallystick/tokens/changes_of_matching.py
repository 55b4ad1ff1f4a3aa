"""The change of how a class's bank data is matched: what may differ, by how many days, and what needs no person."""

from typing import Final

from sqlalchemy import Connection

from tallystick import participants
from tallystick.core.errors import ConflictError, MalformedError
from tallystick.core.money import parse_amount
from tallystick.tokens import matching_store
from tallystick.tokens.changing import Applied, Change, Payload, Wanted
from tallystick.tokens.matching_store import MatchingTermsRow

__all__ = ["CHANGES_OF_MATCHING", "MatchingTermsConflictError", "MatchingTermsMalformedError"]

_DAYS_MAX: Final = 31
_AUTOMATIC: Final = frozenset({"exact", "strong"})


class MatchingTermsConflictError(ConflictError):
    """The class is matched on these terms already."""

    code = "matching_terms_conflict"
    title = "The class is matched on these terms already"


class MatchingTermsMalformedError(MalformedError):
    """Days, or a confidence, that are none."""

    code = "matching_terms_malformed"
    title = "These are no terms of matching"


def _terms(connection: Connection, issuer_id: str, subject_id: str, payload: Payload) -> tuple[int, int, str]:
    of_class = participants.token_class(connection, issuer_id, subject_id)
    days_max, automatic_from = payload["days_max"], payload["automatic_from"]
    if not 0 <= days_max <= _DAYS_MAX or automatic_from not in _AUTOMATIC:
        raise MatchingTermsMalformedError
    return parse_amount(payload["tolerance"], of_class.scale), days_max, automatic_from


def _check(connection: Connection, wanted: Wanted) -> int:
    terms = _terms(connection, wanted.issuer_id, wanted.subject_id, wanted.payload)
    present = matching_store.read_matching_terms(connection, wanted.issuer_id).get(wanted.subject_id)
    if present is not None and terms == present[1:4]:
        raise MatchingTermsConflictError
    return 1


def _apply(connection: Connection, applied: Applied) -> None:
    terms = _terms(connection, applied.issuer_id, applied.subject_id, applied.payload)
    row = MatchingTermsRow(applied.subject_id, *terms, applied.booked_at, applied.event_index)
    matching_store.write_matching_terms(connection, applied.issuer_id, row)


CHANGES_OF_MATCHING: Final[dict[str, Change]] = {
    "matching_terms": Change("token_class.matching_terms_changed", _check, _apply)
}
