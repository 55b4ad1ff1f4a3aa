"""Reading a list: FollowTheMoney entities as JSON Lines or as one JSON array, strictly and within bounds.

An entity is `{"id", "schema", "properties": {"name": [...], ...}}`. Properties are lists of strings; of them only what
is screened is kept. What bears a name is screened whatever its schema, so that no misspelled schema hides anybody;
addresses, relationships and the like are left out and counted.
"""

import hashlib
from collections.abc import Iterator
from typing import Final, NamedTuple

from tallystick.core.canonical_json import CanonicalValue, canonical_json
from tallystick.core.errors import DomainError, MalformedError
from tallystick.core.strict_json import BodyTooLargeError, JsonValue, parse_json
from tallystick.screening.records import ListedEntity

__all__ = ["ParsedList", "ScreeningListMalformedError", "parse_list"]

LINE_LENGTH_MAX_BYTES: Final = 262_144
ENTITY_COUNT_MAX: Final = 200_000
VALUE_COUNT_MAX: Final = 500
VALUE_LENGTH_MAX: Final = 500
_PARTIES: Final = frozenset({"Person", "Organization", "Company", "LegalEntity", "PublicBody"})
# Things and relations of FollowTheMoney that may bear a name and are nobody.
_NOT_PARTIES: Final = frozenset(
    [
        "Address", "Article", "Associate", "BankAccount", "Contract", "CourtCase", "CryptoWallet",
        "Debt", "Directorship", "Document", "Documentation", "Employment", "Event", "Family",
        "Identification", "License", "Membership", "Note", "Occupancy", "Ownership", "Passport",
        "Payment", "Position", "Project", "ProjectParticipant", "RealEstate", "Representation",
        "Sanction", "Security", "Similar", "Succession", "UnknownLink",
    ]
)  # fmt: skip
_COUNTRY_PROPERTIES: Final = ("country", "jurisdiction", "mainCountry", "nationality", "citizenship")


class ScreeningListMalformedError(MalformedError):
    """An entity of the list can't be read for certain: nothing of the list is imported. `line_number` names it."""

    code = "screening_list_malformed"
    title = "The screening list can't be read for certain"


class ParsedList(NamedTuple):
    """What a file holds. `skipped_count` are the things in it that are nobody."""

    entities: tuple[ListedEntity, ...]
    skipped_count: int


def parse_list(content: bytes, *, size_max_bytes: int) -> ParsedList:
    """Return everybody on a list, in the order of the file.

    In an array the line number is the element's. Raises BodyTooLargeError (413), ScreeningListMalformedError.
    """
    if len(content) > size_max_bytes:
        raise BodyTooLargeError(size_max_bytes=size_max_bytes)
    entities: dict[str, ListedEntity] = {}
    skipped_count = 0
    for line_number, value in _values(content, size_max_bytes):
        entity = _entity(value, line_number)
        if entity is None:
            skipped_count += 1
        elif entity.entity_id in entities:
            raise _malformed(line_number, "another entity before it has the same id")
        elif len(entities) == ENTITY_COUNT_MAX:
            raise _malformed(line_number, f"a list has at most {ENTITY_COUNT_MAX} entities")
        else:
            entities[entity.entity_id] = entity
    if not entities:
        raise ScreeningListMalformedError("There is nobody on the list.", line_number=1)
    return ParsedList(tuple(entities.values()), skipped_count)


def _values(content: bytes, size_max_bytes: int) -> Iterator[tuple[int, JsonValue]]:
    if content.lstrip(b" \t\r\n").startswith(b"["):
        try:
            elements = parse_json(content, size_max_bytes=size_max_bytes)
        except DomainError as refusal:
            raise _malformed(1, f"{refusal.code} in the array") from None
        assert isinstance(elements, list)  # It begins with a bracket and is JSON.
        yield from enumerate(elements, 1)
        return
    start = line_number = 0
    while start < len(content):
        # Not `splitlines`: a list of many short lines must not become as many objects at once.
        end = content.find(b"\n", start)
        end = len(content) if end < 0 else end
        line_number += 1
        if end - start > LINE_LENGTH_MAX_BYTES:
            raise _malformed(line_number, f"a line has at most {LINE_LENGTH_MAX_BYTES} bytes")
        line = content[start:end].strip(b" \t\r")
        if line:
            try:
                yield line_number, parse_json(line)
            except DomainError as refusal:
                raise _malformed(line_number, refusal.code) from None
        start = end + 1


def _entity(value: JsonValue, line_number: int) -> ListedEntity | None:
    if not isinstance(value, dict):
        raise _malformed(line_number, "an entity is an object")
    entity_id, schema, properties = value.get("id"), value.get("schema"), value.get("properties")
    if not isinstance(entity_id, str) or not 0 < len(entity_id) <= VALUE_LENGTH_MAX:
        raise _malformed(line_number, "an entity has an id")
    if not isinstance(schema, str) or not schema.isalpha() or not schema.isascii() or len(schema) > 64:
        raise _malformed(line_number, "an entity has a schema")
    if not isinstance(properties, dict):
        raise _malformed(line_number, "an entity has properties")
    if schema in _NOT_PARTIES:
        return None

    def texts(*names: str) -> tuple[str, ...]:
        return _texts(properties, names, line_number)

    names = texts("name")
    aliases = tuple(one for one in texts("alias", "previousName") if one not in names)
    weak_aliases = tuple(one for one in texts("weakAlias") if one not in names and one not in aliases)
    if not (names or aliases or weak_aliases):
        if schema in _PARTIES:
            raise _malformed(line_number, "a party has a name")
        return None
    last_change = value.get("last_change")
    if last_change is not None and not (isinstance(last_change, str) and len(last_change) <= 64):
        raise _malformed(line_number, "last_change is a short text")
    facts = {
        "names": names,
        "aliases": aliases,
        "weak_aliases": weak_aliases,
        "countries": tuple(sorted({one.upper() for one in texts(*_COUNTRY_PROPERTIES)})),
        "birth_dates": texts("birthDate"),
        "registration_numbers": texts("registrationNumber"),
        "leis": tuple(sorted({one.replace(" ", "").upper() for one in texts("leiCode")})),
    }
    return ListedEntity(
        entity_id=entity_id,
        entity_hash=_hash(schema, facts),
        schema=schema,
        datasets=_texts(value, ("datasets",), line_number),
        last_change=last_change,
        **facts,
    )


def _texts(members: dict[str, JsonValue], names: tuple[str, ...], line_number: int) -> tuple[str, ...]:
    """Return the distinct texts of some properties, blanks trimmed, in alphabetical order."""
    found: set[str] = set()
    for name in names:
        values = members.get(name, [])
        if not isinstance(values, list) or len(values) > VALUE_COUNT_MAX:
            raise _malformed(line_number, f"{name} is a list of at most {VALUE_COUNT_MAX} texts")
        for one in values:
            if not isinstance(one, str) or len(one) > VALUE_LENGTH_MAX:
                raise _malformed(
                    line_number, f"{name} is a list of texts of at most {VALUE_LENGTH_MAX} characters"
                )
            found.add(" ".join(one.split()))
    return tuple(sorted(found - {""}))


def _hash(schema: str, facts: dict[str, tuple[str, ...]]) -> bytes:
    statement: dict[str, CanonicalValue] = {"schema": schema}
    statement |= {name: list(values) for name, values in facts.items()}
    return hashlib.sha256(canonical_json(statement)).digest()


def _malformed(line_number: int, what: str) -> ScreeningListMalformedError:
    return ScreeningListMalformedError(f"Line {line_number}: {what}.", line_number=line_number)
