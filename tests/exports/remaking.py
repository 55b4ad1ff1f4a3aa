"""`python -m tests.exports.remaking`: as another machine would, make every file again that is lost of some exports.

Its arguments are the database, the directories of keys and of exports; who asks comes on standard input, pickled.
"""

import pickle
import sys
from datetime import timedelta
from pathlib import Path

from tallystick import exports
from tallystick.core.clock import FixedClock
from tallystick.core.database import Database
from tallystick.exports import Vouching, Workshop
from tallystick.signing import KeyDirectory
from tallystick.tokens import Settler
from tallystick.transparency import NO_WITNESSES, DatabaseTiles
from tests.bank import APPROVAL_LIFETIME, OPENED_AT

__all__: list[str] = []


def remake(database_url: str, keys: Path, directory: Path) -> None:
    clock, key_directory = FixedClock(OPENED_AT + timedelta(days=500)), KeyDirectory(keys)
    settler = Settler.of(clock, key_directory, APPROVAL_LIFETIME)
    database = Database(database_url, pool_size=4)
    try:
        made_with = Workshop(
            database, clock, settler, Vouching(key_directory, DatabaseTiles(), NO_WITNESSES), directory
        )
        for export_id, names in pickle.loads(sys.stdin.buffer.read()).items():  # noqa: S301
            for viewer, name in names:
                exports.export_file(made_with, viewer, export_id, name)
    finally:
        database.close()


if __name__ == "__main__":
    remake(sys.argv[1], *map(Path, sys.argv[2:]))
