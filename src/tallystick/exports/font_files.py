"""The font files that PDFs are set in, and their digest: a PDF's bytes depend on them."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Final

__all__ = ["BOLD_FILE", "REGULAR_FILE", "fonts_digest", "further_files"]

_FOLDER: Final = Path(__file__).with_name("fonts")
REGULAR_FILE: Final = _FOLDER / "DejaVuSansCondensed.ttf"
BOLD_FILE: Final = _FOLDER / "DejaVuSansCondensed-Bold.ttf"
# Chinese, Japanese and Korean: Debian's package fonts-droid-fallback, too large to carry along.
_INSTALLED: Final = (Path("/usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf"),)


@cache
def further_files() -> tuple[Path, ...]:
    """Return the files for what DejaVu lacks, in the order in which they are asked: the folder's own come first."""
    own = sorted(set(_FOLDER.glob("*.ttf")) - {REGULAR_FILE, BOLD_FILE})
    return (*own, *(one for one in _INSTALLED if one.is_file()))


@cache
def fonts_digest() -> str:
    """Return a SHA-256 over the SHA-256 of each file, in hexadecimal."""
    files = (REGULAR_FILE, BOLD_FILE, *further_files())
    return hashlib.sha256(b"".join(hashlib.sha256(one.read_bytes()).digest() for one in files)).hexdigest()
