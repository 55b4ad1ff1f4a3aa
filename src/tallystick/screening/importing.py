"""Importing a list version: read to its end before the first row is written, and in force from its commit."""

import hashlib
from typing import Final

from sqlalchemy import Connection

from tallystick.core.clock import Clock
from tallystick.core.errors import ConflictError, MalformedError
from tallystick.core.ids import new_id
from tallystick.participants import Principal
from tallystick.screening import store
from tallystick.screening.entities import parse_list
from tallystick.screening.records import ListImport, ScreeningList

__all__ = [
    "ScreeningListConflictError",
    "ScreeningListNameMalformedError",
    "ScreeningListShrunkError",
    "import_list",
]

_NAME_LENGTH_MAX: Final = 64
# A file that was cut on its way is well-formed to the last line that arrived.
_SHRINKS_TO_PERCENT_MIN: Final = 50


class ScreeningListNameMalformedError(MalformedError):
    """A list's name and version have 1 to 64 visible characters each."""

    code = "screening_list_name_malformed"
    title = "The name or version of the screening list is malformed"


class ScreeningListConflictError(ConflictError):
    """Another content was imported as this version of the list; `screening_list_id` names it."""

    code = "screening_list_conflict"
    title = "This version of the screening list was imported with another content"


class ScreeningListShrunkError(ConflictError):
    """The new version has less than half as many entities as the one before it, as a file that was cut would."""

    code = "screening_list_shrunk"
    title = "The screening list is much shorter than the version before it"


def import_list(
    connection: Connection,
    clock: Clock,
    importer: Principal,
    content: bytes,
    *,
    name: str,
    version: str,
    size_max_bytes: int,
    smaller_accepted: bool = False,
) -> ListImport:
    """Take up a version of the list `name`, which is in force from then on; every holder is then to be rescreened.

    The same content under the same name and version changes nothing (`imported` is False). Until a holder is screened
    against the new version, its standing is `unscreened`, or what people confirmed.
    Raises ScreeningListNameMalformedError, BodyTooLargeError, ScreeningListMalformedError, ScreeningListConflictError,
    and unless `smaller_accepted` ScreeningListShrunkError.
    """
    for text in (name, version):
        if not 0 < len(text) <= _NAME_LENGTH_MAX or not text.isprintable() or text.strip() != text:
            raise ScreeningListNameMalformedError
    parsed = parse_list(content, size_max_bytes=size_max_bytes)
    content_hash = hashlib.sha256(content).digest()
    issuer_id = importer.issuer_id
    number = store.lock_scope(connection, issuer_id) + 1
    known = store.read_list_version(connection, issuer_id, name, version)
    if known is not None:
        if known.content_hash != content_hash:
            raise ScreeningListConflictError(screening_list_id=known.id)
        return ListImport(known, imported=False)
    before = [one for one in store.read_lists_in_force(connection, issuer_id) if one.name == name]
    counts = {one.entity_count for one in before}
    if not smaller_accepted and any(
        len(parsed.entities) * 100 < count * _SHRINKS_TO_PERCENT_MIN for count in counts
    ):
        raise ScreeningListShrunkError(
            f"{len(parsed.entities)} entities, after {max(counts)} in the version before."
        )
    new = ScreeningList(
        issuer_id=issuer_id,
        id=new_id("list"),
        number=number,
        name=name,
        version=version,
        content_hash=content_hash,
        entity_count=len(parsed.entities),
        skipped_count=parsed.skipped_count,
        imported_by=importer.id,
        imported_at=clock.now(),
    )
    store.insert_list(connection, new)
    store.insert_entities(connection, issuer_id, new.id, parsed.entities)
    store.update_scope(connection, issuer_id, number)
    return ListImport(new, imported=True)
