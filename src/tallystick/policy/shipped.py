"""The rules and lists that come with the product, as data: see `data/`. Read once, when the room is loaded."""

import json
from importlib import resources
from typing import Any, Final

__all__ = ["APPROVAL_REFERENCE_CURRENCIES", "PURPOSE_CODES", "SHIPPED_DOCUMENT", "SHIPPED_VERSION"]


def _read(name: str) -> dict[str, Any]:
    text = resources.files("tallystick.policy").joinpath("data", name).read_text(encoding="utf-8")
    content: dict[str, Any] = json.loads(text)
    return content


# Told in events: a release that changes the rules below must count it up.
SHIPPED_VERSION: Final = "shipped/1"
SHIPPED_DOCUMENT: Final = _read("default.json")
PURPOSE_CODES: Final[frozenset[str]] = frozenset(_read("purpose_codes.json")["codes"])
APPROVAL_REFERENCE_CURRENCIES: Final[frozenset[str]] = frozenset(
    _read("approval_references.json")["currencies"]
)
