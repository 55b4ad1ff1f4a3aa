"""The `tallystick` command. Every command uses the API's verbs; `--json` is for machines."""

from tallystick.cli.commands import main

__all__ = ["main"]
