"""`tallystick openapi`: the document that the application makes of itself, and the copy in the repository."""

import json
from pathlib import Path

from tallystick.api import application
from tallystick.cli.report import CommandRefusedError, Report

__all__ = ["openapi"]


def openapi(report: Report, *, write: Path | None, check: Path | None) -> None:
    """Print the document, write it to a file, or refuse with `openapi_differs` a file that isn't it."""
    described = application.build().openapi()
    document = json.dumps(described, indent=2, ensure_ascii=False) + "\n"
    if write is None and check is None:
        report.document(described)
        report.say(document.removesuffix("\n"))
        return
    if write is not None:
        write.write_text(document, encoding="utf-8")
        report.note(f"written: {write}")
    if check is not None and (not check.exists() or check.read_text(encoding="utf-8") != document):
        raise CommandRefusedError("openapi_differs", f"{check} differs from the application: make openapi")
    report.document({"object": "openapi", "paths": len(described["paths"])})
