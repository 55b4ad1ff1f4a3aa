"""Which corridor a payment goes through: the first row that fits where it comes from, where it goes, and for what."""

from collections.abc import Sequence
from typing import Final, NamedTuple

__all__ = ["ANY", "Corridor", "Corridors"]

ANY: Final = "*"
_REMEMBERED_MAX: Final = 10_000

Ends = tuple[str, str, str, str, str]


class Corridor(NamedTuple):
    """One row. `ends` are the payer's country and residency, the payee's, and the purpose, each a code or `*`."""

    rule_id: str
    ends: Ends
    action: str
    quota_minor: int | None

    @property
    def id(self) -> str:
        """The row's own id, or its place where it has none."""
        return self.rule_id.partition("/")[2]


class Corridors:
    """The rows of one class's policy in their order, and what happens to a payment that fits none."""

    def __init__(self, rows: Sequence[Corridor], otherwise: str) -> None:
        self._rows = tuple(rows)
        self.with_quota = tuple(row for row in rows if row.quota_minor is not None)
        self.has_quota = bool(self.with_quota)
        self._otherwise = Corridor("corridors/otherwise", (ANY,) * 5, otherwise, None)
        self._found: dict[Ends, Corridor] = {}

    def of(self, ends: Ends) -> Corridor:
        """Return the first row that fits. Few combinations of countries occur, so each is looked for once."""
        found = self._found.get(ends)
        if found is None:
            found = next((row for row in self._rows if _fits(row.ends, ends)), self._otherwise)
            if len(self._found) >= _REMEMBERED_MAX:
                self._found.clear()
            self._found[ends] = found
        return found


def _fits(asked: Ends, ends: Ends) -> bool:
    return all(one in {ANY, other} for one, other in zip(asked, ends, strict=True))
