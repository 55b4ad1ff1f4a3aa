"""What the check can't tell, said plainly: columns that nothing signed, sealed or replayed covers, and why."""

from typing import Final

from tallystick.core.database import metadata
from tallystick.core.table_classes import TableClass, class_of, sealing_of

__all__ = ["UNCOVERED", "uncovered"]

#: By table, what is covered by nothing though it is of some use tomorrow; `*` for all of its columns.
UNCOVERED: Final[dict[str, dict[str, str]]] = {}


def uncovered() -> dict[str, dict[str, str]]:
    """Return, by table and column, what no check covers, with the reason: ephemeral tables included."""
    found = {name: dict(columns) for name, columns in UNCOVERED.items()}
    for name, table in metadata.tables.items():
        sealing = sealing_of(table)
        if class_of(table) == TableClass.EPHEMERAL:
            found[name] = {"*": "ephemeral: nothing is proved by it"}
        elif sealing is not None and sealing.left_out:
            found[name] = dict(sealing.left_out)
    return dict(sorted(found.items()))
