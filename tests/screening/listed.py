"""Invented list entities for the tests of screening."""

import json
from typing import Any

from tallystick.screening.entities import parse_list
from tallystick.screening.records import ListedEntity

__all__ = ["SIZE_MAX_BYTES", "company", "entities", "lines"]

SIZE_MAX_BYTES = 10_000_000


def company(entity_id: str, *names: str, schema: str = "Company", **properties: list[str]) -> dict[str, Any]:
    """Return an entity as a list writes it."""
    named = {"name": list(names)} if names else {}
    return {
        "id": entity_id,
        "schema": schema,
        "properties": {**named, **properties},
        "datasets": ["fictitious"],
    }


def lines(*listed: object) -> bytes:
    """Return entities as JSON Lines."""
    return "".join(json.dumps(one) + "\n" for one in listed).encode()


def entities(*listed: object) -> tuple[ListedEntity, ...]:
    """Return entities as they are kept."""
    return parse_list(lines(*listed), size_max_bytes=SIZE_MAX_BYTES).entities
