"""How long callers are kept waiting: by the loop's own clock, which the tests set."""

import asyncio
from collections.abc import Iterator

import pytest

from tallystick.api.patience import Patience


class SetLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock goes on when it is told to."""

    now_seconds = 0.0

    def time(self) -> float:
        return self.now_seconds

    def pass_seconds(self, seconds: float) -> None:
        self.now_seconds += seconds
        for _ in range(3):
            self.run_until_complete(asyncio.sleep(0))

    @property
    def timers(self) -> int:
        return len(self._scheduled)  # type: ignore[attr-defined]


@pytest.fixture
def loop() -> Iterator[SetLoop]:
    opened = SetLoop()
    yield opened
    opened.close()


def watched(loop: SetLoop, patience: Patience) -> "asyncio.Future[str]":
    waiting: asyncio.Future[str] = loop.create_future()
    patience.watch(loop, waiting)
    return waiting


def test_whoever_waits_too_long_is_told_so_and_nobody_else(loop: SetLoop) -> None:
    patience = Patience(10.0, LookupError)
    early = watched(loop, patience)
    loop.pass_seconds(6.0)
    late = watched(loop, patience)

    loop.pass_seconds(3.0)
    assert not early.done()
    loop.pass_seconds(1.0)
    assert isinstance(early.exception(), LookupError)
    assert not late.done()
    loop.pass_seconds(6.0)
    assert isinstance(late.exception(), LookupError)


def test_whoever_was_answered_keeps_the_answer(loop: SetLoop) -> None:
    patience = Patience(10.0, LookupError)
    answered, gone = watched(loop, patience), watched(loop, patience)
    answered.set_result("settled")
    gone.cancel()

    loop.pass_seconds(60.0)
    assert answered.result() == "settled"
    assert gone.cancelled()


def test_one_timer_serves_all_and_none_is_left_when_nobody_waits(loop: SetLoop) -> None:
    patience = Patience(10.0, LookupError)
    waiting = [watched(loop, patience) for _ in range(100)]
    assert loop.timers == 1
    loop.pass_seconds(1.0)
    assert loop.timers == 1

    for one in waiting:
        one.set_result("settled")
    loop.pass_seconds(1.0)
    assert loop.timers == 0
    last = watched(loop, patience)
    loop.pass_seconds(10.0)
    assert isinstance(last.exception(), LookupError)


def test_what_was_answered_is_let_go_at_the_next_look(loop: SetLoop) -> None:
    patience = Patience(10.0, LookupError)
    watched(loop, patience).set_result("settled")
    waiting = watched(loop, patience)
    assert len(patience) == 2

    loop.pass_seconds(1.0)
    assert len(patience) == 1
    waiting.cancel()
    loop.pass_seconds(1.0)
    assert len(patience) == 0


def test_another_loop_may_follow(loop: SetLoop) -> None:
    patience = Patience(10.0, LookupError)
    left = watched(loop, patience)
    following = SetLoop()
    try:
        waiting = watched(following, patience)
        following.pass_seconds(10.0)
        assert isinstance(waiting.exception(), LookupError)
        assert not left.done()
    finally:
        following.close()
