"""Which libraries a file's bytes depend on beside its content: Parquet, Excel and PDF are written by others' code.

Their versions, and a PDF's fonts, stand in the manifest. The same versions write the same bytes; after an upgrade a
file that was lost can't be made again as it was, which is no sign of changed books, and is told apart from that.

ExportWriterChangedError  409  the lost file was written by other versions than are installed
"""

import zlib
from importlib.metadata import version
from typing import Any, Final

from tallystick.core.errors import ConflictError
from tallystick.exports.font_files import fonts_digest
from tallystick.exports.records import ExportFormat

__all__ = ["ExportWriterChangedError", "check_writers", "writers_of"]

_LIBRARIES: Final = {
    ExportFormat.PARQUET: "pyarrow",
    ExportFormat.XLSX: "xlsxwriter",
    ExportFormat.PDF: "reportlab",
}
_DEFLATED: Final = frozenset({ExportFormat.XLSX, ExportFormat.PDF})


class ExportWriterChangedError(ConflictError):
    """The file is lost, and what is installed now would not write the same bytes. Export the same arguments anew."""

    code = "export_writer_changed"
    title = "The file was written by other versions than are installed"


def writers_of(export_format: ExportFormat) -> dict[str, str]:
    """Return the versions of the libraries that write a format; none for what this house writes itself."""
    if export_format not in _LIBRARIES:
        return {}
    library = _LIBRARIES[export_format]
    found = {library: version(library)}
    if export_format in _DEFLATED:
        found["zlib"] = zlib.ZLIB_RUNTIME_VERSION
    if export_format == ExportFormat.PDF:
        found["fonts"] = fonts_digest()
    return found


def check_writers(export_format: ExportFormat, manifest: dict[str, Any]) -> None:
    """Raise ExportWriterChangedError if the files of this manifest can't be made again as they were."""
    if manifest.get("written_by", {}) != writers_of(export_format):
        raise ExportWriterChangedError
