"""Whom a holder may be: by legal entity identifier, by name; countries make a hit more or less likely, never none."""

import hashlib
from typing import Final

from tallystick.core.canonical_json import CanonicalValue, canonical_json
from tallystick.participants import Holder
from tallystick.screening.name_index import NameIndex
from tallystick.screening.names import read_name
from tallystick.screening.records import Hit, ListedEntity, Outsider, Subject

__all__ = ["HITS_KEPT_MAX", "THRESHOLD", "basis_hash", "find_hits", "subject_hash", "subject_of"]

THRESHOLD: Final = 85
HITS_KEPT_MAX: Final = 100
# To be raised whenever the same name may be scored or found differently, so that everybody is screened again.
_RULES_VERSION: Final = 2
_SAME_COUNTRY: Final = 3
_OTHER_COUNTRY: Final = -10


def subject_of(holder: Holder | Outsider) -> Subject:
    """Return what of a holder is screened; a change of any of it screens the holder anew."""
    return Subject(holder.legal_name, holder.country, holder.residency, holder.lei)


def subject_hash(subject: Subject) -> bytes:
    """Return the SHA-256 of what is screened: what people cleared was this, and no later name."""
    return hashlib.sha256(canonical_json(subject._asdict())).digest()


def basis_hash(subject: Subject, threshold: int) -> bytes:
    """Return the SHA-256 of what is screened and how; against the same list, the same basis finds the same hits."""
    basis: dict[str, CanonicalValue] = {
        "subject": subject._asdict(),
        "threshold": threshold,
        "rules_version": _RULES_VERSION,
    }
    return hashlib.sha256(canonical_json(basis)).digest()


def find_hits(subject: Subject, index: NameIndex, threshold: int) -> list[Hit]:
    """Return every listed entity that the holder may be, the most likely first."""
    found: dict[str, Hit] = {}
    for entity in index.with_lei(subject.lei) if subject.lei is not None else ():
        names = entity.names or entity.aliases or entity.weak_aliases
        found[entity.entity_id] = _hit(entity, names[0], "leiCode", "lei", 100, subject)
    for entity, written, of_property, likeness in index.alike(read_name(subject.legal_name), threshold):
        if entity.entity_id not in found:
            found[entity.entity_id] = _hit(
                entity, written, of_property, likeness.algorithm, likeness.score, subject
            )
    return sorted(found.values(), key=lambda hit: (-hit.confidence, -hit.score, hit.entity_id))


def _hit(
    entity: ListedEntity, written: str, of_property: str, algorithm: str, score: int, subject: Subject
) -> Hit:
    return Hit(
        entity_id=entity.entity_id,
        entity_hash=entity.entity_hash.hex(),
        schema=entity.schema,
        matched_name=written,
        matched_property=of_property,
        algorithm=algorithm,
        score=score,
        confidence=_confidence(score, entity, subject),
        countries=entity.countries,
        datasets=entity.datasets,
    )


def _confidence(score: int, entity: ListedEntity, subject: Subject) -> int:
    if not entity.countries:
        return score
    same = subject.country in entity.countries or subject.residency in entity.countries
    return max(0, min(100, score + (_SAME_COUNTRY if same else _OTHER_COUNTRY)))
