"""Telling the story: each sentence is a claim with a figure, and is only told once the claim has been checked."""

from typing import Any

from tallystick.cli.report import CommandRefusedError

__all__ = ["Story", "StoryBrokenError"]


class StoryBrokenError(CommandRefusedError):
    """The service did not do what the story claims."""

    def __init__(self, claim: str, detail: str) -> None:
        super().__init__("demo_failed", f"“{claim}” does not hold: {detail}", claim=claim)


class Story:
    """Chapters of checked claims; silent where only the summary is wanted."""

    def __init__(self, *, silent: bool) -> None:
        self._silent = silent
        self.chapters: list[dict[str, Any]] = []

    @property
    def claim_count(self) -> int:
        """How many claims have been checked."""
        return sum(len(chapter["claims"]) for chapter in self.chapters)

    def chapter(self, title: str) -> None:
        """Begin a chapter."""
        self.chapters.append({"title": title, "claims": []})
        self._print(f"\n[bold]{len(self.chapters)}. {title}[/bold]")

    def expect(self, claim: str, found: object, wanted: object) -> None:
        """Tell `claim` if what was found is what was wanted; else raise StoryBrokenError."""
        if found != wanted:
            raise StoryBrokenError(claim, f"expected {wanted}, found {found}.")
        self.chapters[-1]["claims"].append(claim)
        self._print(f"   [green]✓[/green] {claim}")

    def _print(self, text: str) -> None:
        if self._silent:
            return
        from rich.console import Console  # noqa: PLC0415 The summary alone does without it.

        Console(highlight=False, soft_wrap=True).print(text)
