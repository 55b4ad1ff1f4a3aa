"""What can be wrong with a pack, by class: each class has one exit code that scripts can rely on.

ok                0   everything that was checked holds
usage             2   wrong options, or a policy file that can't be understood
pack             10   the pack is damaged: a file, its hash, its form
signature        11   a signature is not the key's over these bytes
key              12   a key is unknown, revoked, or signed where it might not
log              13   the log or its checkpoint: order, gaps, root, quorum, consistency with what was seen before
approval         14   approvals: too few people, the same person, another request
books            15   the books: balance, floor, versions, double use, the mint rule
figures          16   a figure in the pack is not what the signed events lead to
unsupported      17   something that this version does not know; unknown means fail
internal         18   the verifier itself failed; nothing is verified
"""

from enum import IntEnum

__all__ = ["ExitCode", "Failure", "PackFailure"]


class ExitCode(IntEnum):
    """The class of the most fundamental thing that is wrong."""

    OK = 0
    USAGE = 2
    PACK = 10
    SIGNATURE = 11
    KEY = 12
    LOG = 13
    APPROVAL = 14
    BOOKS = 15
    FIGURES = 16
    UNSUPPORTED = 17
    INTERNAL = 18


class Failure(Exception):  # noqa: N818 What fails is the pack, and that is no error of the program.
    """A check that does not hold: its class, where, and what, in one sentence for people."""

    def __init__(self, exit_code: ExitCode, message: str, *, place: str = "") -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.message = message
        self.place = place

    def at(self, place: str) -> "Failure":
        """Return the failure with its place, unless it has one."""
        self.place = self.place or place
        return self


class PackFailure(Failure):
    """The pack is damaged."""

    def __init__(self, message: str, *, place: str = "") -> None:
        super().__init__(ExitCode.PACK, message, place=place)
