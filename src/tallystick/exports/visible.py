"""Characters that a file can't hold or a page can't show, written by their number in place of being dropped."""

import re
from typing import Final

__all__ = ["numbered", "visible_in_xml"]

# All that XML 1.0 allows: https://www.w3.org/TR/xml/#charsets
_NOT_IN_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def numbered(character: str) -> str:
    """Return a character's Unicode number in brackets: `[U+0627]`."""
    return f"[U+{ord(character):04X}]"


def visible_in_xml(text: str) -> str:
    """Return text that XML can hold."""
    return _NOT_IN_XML.sub(lambda found: numbered(found.group()), text)
