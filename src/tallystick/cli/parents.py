"""Processes that end with the one that started them, however it ends."""

import os
import signal
import threading
import time
from typing import Final

__all__ = ["PARENT", "stop_with_parent"]

# Told by the parent, for it may be gone before its child looks.
PARENT: Final = "_TALLYSTICK_PARENT_PROCESS_ID"
_CHECK_SECONDS: Final = 1.0


def stop_with_parent() -> None:
    """Send this process SIGTERM once its parent is gone; nothing where no parent told of itself."""
    parent_id = os.environ.get(PARENT)
    if parent_id is not None:
        threading.Thread(target=_watch, args=(int(parent_id),), daemon=True).start()


def _watch(parent_id: int) -> None:
    # A parent that was killed can't tell its children to stop, and they would keep what they hold.
    while os.getppid() == parent_id:
        time.sleep(_CHECK_SECONDS)
    signal.raise_signal(signal.SIGTERM)
