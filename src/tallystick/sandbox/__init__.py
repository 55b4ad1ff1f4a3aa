"""The sandbox: one bank with its people, a marketplace and its merchants, to try everything on. Nobody's money."""

from tallystick.sandbox.seed import KEYS_FILE_NAME, ROOT_DIRECTORY_NAME, Sandbox, seed_unless_present

__all__ = ["KEYS_FILE_NAME", "ROOT_DIRECTORY_NAME", "Sandbox", "seed_unless_present"]
