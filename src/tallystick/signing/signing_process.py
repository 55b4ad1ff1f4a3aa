"""Signing beside the interpreter: a process of this one's own that signs while the next instructions are decided.

In threads it did not win: each signature is so short that the signing thread waits longer for its turn of the
interpreter than it signs. The process is started with the first batch that is worth it, takes keys and messages
through a socket pair that nobody else has, and ends when the socket does. If it dies, the batch is signed here, by
the same key, and the next batch starts another.
"""

import atexit
import contextlib
import os
import select
import socket
import struct
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tallystick.signing.ed25519 import SIGNATURE_SIZE_BYTES

__all__ = ["Question", "SigningProcess", "SigningProcessLostError"]

_HEADER: Final = struct.Struct("!II")
_CHILD: Final = Path(__file__).with_name("signing_child.py")
_BUFFER_SIZE_BYTES: Final = 4_194_304
_END_SECONDS_MAX: Final = 2.0


class SigningProcessLostError(OSError):
    """The process is gone, and with it what it was asked: sign anew."""


class SigningProcess:
    """One signing process and the keys it holds. Safe to be called from several threads.

    Answers come in the order of the questions; whoever waits for a later one takes in those before it.
    """

    def __init__(self) -> None:
        """Start the process."""
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_SIZE_BYTES)
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 Our own file, by our own interpreter.
                [sys.executable, "-I", str(_CHILD), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={},
            )
        self.owner_id = os.getpid()
        self.lost = False
        self._socket = ours
        self._answers = ours.makefile("rb", _BUFFER_SIZE_BYTES)
        self._asking = threading.Lock()
        self._reading = threading.Lock()
        self._waiting: deque[Question] = deque()
        self._key_numbers: dict[bytes, int] = {}
        atexit.register(self.close)

    def close(self) -> None:
        """End the process; what it was asked and has not answered is lost."""
        self.lost = True
        atexit.unregister(self.close)
        if self.owner_id != os.getpid():
            return
        # Whoever waits in `read` is woken with nothing.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        try:
            self._process.wait(_END_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        with self._reading:
            self._answers.close()
            self._socket.close()

    def begin(self, secret: bytes, messages: Sequence[bytes]) -> "Question":
        """Hand over messages, at least one, and return the question whose `result` is their signatures.

        `secret` is libsodium's 64-byte key. Raises SigningProcessLostError when the process is gone.
        """
        with self._asking:
            known = self._key_numbers.get(secret)
            parts = []
            if known is None:
                known = self._key_numbers[secret] = len(self._key_numbers)
                parts += [_HEADER.pack(known, 0), secret]
            count = len(messages)
            parts += [_HEADER.pack(known, count), struct.pack(f"!{count}I", *map(len, messages)), *messages]
            question = Question(self, count)
            self._waiting.append(question)
            try:
                self._socket.sendall(b"".join(parts))
            except OSError as error:
                self.lost = True
                raise SigningProcessLostError from error
        return question

    def ready(self) -> bool:
        """Tell whether an answer has begun to arrive; the rest of it is then close behind."""
        return self.lost or bool(select.select([self._socket], [], [], 0)[0])

    def answer(self, question: "Question") -> bytes:
        """Return the signatures of a question one behind the other, and wait for them if need be."""
        with self._reading:
            while question.answer is None:
                if self.lost:
                    raise SigningProcessLostError
                first = self._waiting.popleft()
                try:
                    read = self._answers.read(first.count * SIGNATURE_SIZE_BYTES)
                except OSError:
                    read = b""
                if len(read) < first.count * SIGNATURE_SIZE_BYTES:
                    self.lost = True
                else:
                    first.answer = read
        return question.answer


class Question:
    """What the process was asked."""

    __slots__ = ("_asked", "answer", "count")

    def __init__(self, asked: SigningProcess, count: int) -> None:
        self._asked = asked
        self.count = count
        self.answer: bytes | None = None

    def ready(self) -> bool:
        """Tell whether `result` would return without much waiting."""
        return self.answer is not None or self._asked.ready()

    def result(self) -> list[bytes]:
        """Return the signatures in order; raises SigningProcessLostError when the process is gone."""
        answer = self._asked.answer(self)
        return [
            answer[start : start + SIGNATURE_SIZE_BYTES]
            for start in range(0, len(answer), SIGNATURE_SIZE_BYTES)
        ]
