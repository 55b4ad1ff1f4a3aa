"""Where full tiles lie: in the database, or in a directory that can be served, copied or mounted from elsewhere."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from sqlalchemy import Connection

from tallystick.core.durable_files import sync_directory, write_durably
from tallystick.core.errors import InvariantError
from tallystick.transparency import store
from tallystick.transparency.tiles import Tile, tile_path

__all__ = ["DatabaseTiles", "DirectoryTiles", "TileStore", "tile_store"]


class TileStore(Protocol):
    """Keeps full tiles of every issuer for ever."""

    def write(self, connection: Connection, issuer_id: str, tiles: Sequence[tuple[Tile, bytes]]) -> None:
        """Keep tiles: durable at the latest when the connection's transaction is.

        What a crash leaves of them is no part of any tree; the same tiles will be written again. Raises InvariantError
        where another content has one of the names: a log does not fork.
        """

    def read(self, connection: Connection, issuer_id: str, tiles: Sequence[Tile]) -> Mapping[Tile, bytes]:
        """Return the contents of those tiles that are kept."""


class DatabaseTiles:
    """Tiles as rows: they are backed up with everything else, and commit with the checkpoint over them."""

    def write(self, connection: Connection, issuer_id: str, tiles: Sequence[tuple[Tile, bytes]]) -> None:
        store.insert_tiles(connection, issuer_id, tiles)

    def read(self, connection: Connection, issuer_id: str, tiles: Sequence[Tile]) -> Mapping[Tile, bytes]:
        return store.read_tiles(connection, issuer_id, tiles)


class DirectoryTiles:
    """Tiles as files, `<directory>/<issuer id>/tile/<level>/<path>`: the layout that C2SP tlog-tiles serves.

    They are written before the transaction that names them commits. That tells nobody anything: a tile without a
    checkpoint over it is not part of a log, and its content follows from events that are committed already.
    """

    def __init__(self, directory: Path) -> None:
        self._directory: Final = directory

    def write(self, _connection: Connection, issuer_id: str, tiles: Sequence[tuple[Tile, bytes]]) -> None:
        for tile, content in tiles:
            path = self._path(issuer_id, tile)
            if path.exists():
                if path.read_bytes() != content:
                    raise InvariantError(f"{path} holds another tile: the log would fork")
                continue
            _make_directory(path.parent)
            write_durably(path, content)

    def read(self, _connection: Connection, issuer_id: str, tiles: Sequence[Tile]) -> Mapping[Tile, bytes]:
        paths = {tile: self._path(issuer_id, tile) for tile in tiles}
        return {tile: path.read_bytes() for tile, path in paths.items() if path.is_file()}

    def _path(self, issuer_id: str, tile: Tile) -> Path:
        return self._directory / issuer_id / "tile" / str(tile.level) / tile_path(tile.tile_index)


def tile_store(directory: Path | None) -> TileStore:
    """Return the store that a setting names: a directory, or the database where there is none."""
    return DatabaseTiles() if directory is None else DirectoryTiles(directory)


def _make_directory(directory: Path) -> None:
    if directory.is_dir():
        return
    _make_directory(directory.parent)
    directory.mkdir(mode=0o755, exist_ok=True)
    sync_directory(directory.parent)
