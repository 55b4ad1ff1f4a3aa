"""The witness as a process of its own, over sockets: its answers' exact form, its limits, and the worst `kill -9`."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Final

import httpx
import pytest

from tallystick.core.clock import FixedClock
from tallystick.transparency.checkpoints import parse_checkpoint
from tallystick.transparency.notes import parse_note, parse_verifier_key, verify_note
from tallystick.witness import Witness, open_records
from tests.witness.memory_log import MemoryLog

SECONDS_MAX: Final = 60

# Serves like the command, and dies as soon as the record is on disk, before anybody is answered.
DIES_BEHIND_THE_RECORD: Final = """
import os, signal
from tallystick.core import durable_files
from tallystick.witness import records
from tallystick.cli import main

kept = durable_files.write_durably

def keep(path, content):
    kept(path, content)
    os.kill(os.getpid(), signal.SIGKILL)

records.write_durably = keep
main()
"""


@contextmanager
def serving(directory: Path, *, program: tuple[str, ...] = ("-m", "tallystick")) -> Iterator[httpx.Client]:
    """Yield a client of a witness process; whatever state it is in is ended."""
    output = directory.parent / "output"
    with output.open("wb") as to_output:
        process = subprocess.Popen(
            [
                sys.executable,
                *program,
                "witness",
                "serve",
                "--directory",
                str(directory),
                "--port",
                "0",
                "--json",
            ],
            stdin=subprocess.DEVNULL,
            stdout=to_output,
        )
    try:
        with httpx.Client(base_url=_url(process, output), timeout=SECONDS_MAX, trust_env=False) as client:
            yield client
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(SECONDS_MAX)


def _url(process: "subprocess.Popen[bytes]", output: Path) -> str:
    deadline = time.monotonic() + SECONDS_MAX
    while time.monotonic() < deadline and process.poll() is None:
        try:
            return str(json.loads(output.read_text())["url"])
        except ValueError:
            time.sleep(0.05)
    pytest.fail("the witness did not start")


def test_it_answers_as_the_specification_says(directory: Path, log: MemoryLog) -> None:
    key = parse_verifier_key(json.loads((directory / "witness.json").read_text())["verifier_key"])
    digest = sha256(log.origin.encode()).hexdigest()
    with serving(directory) as client:
        assert client.get(f"/{digest}/checkpoint").status_code == 404
        answer = client.post("/add-checkpoint", content=log.request(0, 5))
        assert answer.status_code == 200
        assert answer.text.startswith("\u2014 witness.example/w1 ")
        cosigned = parse_note(log.note(5).encode() + answer.content)
        assert verify_note(cosigned, [key, log.key]) == [log.key, key]
        stale = client.post("/add-checkpoint", content=log.request(0, 9))
        assert (stale.status_code, stale.headers["content-type"]) == (409, "text/x.tlog.size")
        assert stale.content == b"5\n"
        forked = MemoryLog(log.origin, fork_at=2)
        statuses = [
            client.post("/add-checkpoint", content=body).status_code
            for body in (
                MemoryLog("stranger.example").request(0, 3),
                log.request(0, 3).replace(log.key.name.encode(), b"log.example/log/2"),
                forked.request(5, 5),
                forked.request(5, 9),
                log.request(5, 4),
                b"",
                b"old 0\n",
            )
        ]
        assert statuses == [404, 404, 409, 422, 400, 400, 400]
        for content in (b"x" * 70_000, b"old 0\n\n" + b"x" * 1_000_000):
            assert client.post("/add-checkpoint", content=content).status_code == 413
        assert client.get("/add-checkpoint").status_code == 405
        kept = client.get(f"/{digest}/checkpoint")
        assert kept.headers["content-type"] == "text/plain; charset=utf-8"
        assert parse_checkpoint(parse_note(kept.content).text) == log.checkpoint(5)
        assert client.get(f"/{'0' * 64}/checkpoint").status_code == 404
        assert client.get("/healthz").status_code == 200


def test_killed_between_record_and_answer_it_rolls_nothing_back(
    directory: Path, log: MemoryLog, clock: FixedClock
) -> None:
    with open_records(directory, None) as records:
        assert Witness(records, clock).add_checkpoint(log.request(0, 5)).status == 200
    program = ("-c", DIES_BEHIND_THE_RECORD)
    with serving(directory, program=program) as client, pytest.raises(httpx.TransportError):
        client.post("/add-checkpoint", content=log.request(5, 9))
    with open_records(directory, None) as records:
        witness = Witness(records, clock)
        # It has cosigned nine, whoever knows of it: no other tree of that size or below is cosigned any more.
        stale = witness.add_checkpoint(log.request(5, 7))
        assert (stale.status, stale.body) == (409, "9\n")
        assert witness.add_checkpoint(MemoryLog(log.origin, fork_at=6).request(9, 9)).status == 409
        assert witness.add_checkpoint(log.request(9, 9)).status == 200
