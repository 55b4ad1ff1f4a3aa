"""Named tuples of the hot path, made from a tuple that is there already."""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

__all__ = ["maker"]

Record = TypeVar("Record", bound=tuple[Any, ...])


def maker(kind: type[Record]) -> Callable[[tuple[Any, ...]], Record]:
    """Return what makes a `kind` of one tuple that holds every field in order, defaults included.

    Calling the class itself goes through a function of the interpreter's and takes twice as long, and settling one
    transfer makes seventeen records. Nothing counts or names the fields here, so a test does, for every use.
    """
    return partial(tuple.__new__, kind)
