"""The auditor's walkthrough as an auditor follows it: its commands, word for word, against a real service with a past."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from jwt.utils import base64url_decode

from tests.cli.processes import REPOSITORY, Served, environment, serving
from tests.database import DatabaseUrls
from tests.docs.documents import examples, fenced

AUDIT: Final = REPOSITORY / "docs" / "audit.md"
SECONDS_MAX: Final = 240
# Commands of ours and of those libraries lie beside the Python that runs this.
PROGRAMS: Final = str(Path(sys.executable).parent)


@pytest.fixture
def lived(database_urls: DatabaseUrls, tmp_path: Path) -> Iterator[tuple[Served, dict[str, str]]]:
    """A served sandbox that told its story, its records sealed; with the environment of its administrator."""
    settings = {"database_url": database_urls.service_url, "database_owner_url": database_urls.owner_url}
    administrator = environment(tmp_path / "state", **settings)
    administrator["PATH"] = f"{PROGRAMS}:{administrator['PATH']}"
    with serving(tmp_path / "state", "--sandbox", settings=settings) as served:
        keys_file = str(served.state / "sandbox.json")
        for arguments in (["demo", "--url", served.url, "--keys-file", keys_file], ["seal-records"]):
            command = [sys.executable, "-m", "tallystick", *arguments]
            done = subprocess.run(
                command,
                env=administrator,
                capture_output=True,
                text=True,
                timeout=SECONDS_MAX,
                check=False,
            )
            assert done.returncode == 0, done.stderr
        _await_checkpoint(served)
        yield served, administrator


def _await_checkpoint(served: Served) -> None:
    """Wait until a checkpoint covers all events: a pack ends with the newest one."""
    deadline_seconds = time.monotonic() + SECONDS_MAX
    with served.client("auditor") as client:
        issuer_id = client.get("/v1/issuers").raise_for_status().json()["data"][0]["id"]
        events = client.get("/v1/events?limit=100").raise_for_status().json()["data"]
        while client.get(f"/log/{issuer_id}/checkpoint").text.split("\n")[1:2] != [str(len(events))]:
            assert time.monotonic() < deadline_seconds, "no checkpoint covers all events"
            time.sleep(0.05)


def bank_toml(served: Served) -> str:
    """Return what an auditor writes who got the keys by a way of their own."""
    with served.client("auditor") as client:
        issuer_id = client.get("/v1/issuers").raise_for_status().json()["data"][0]["id"]
        manifests: list[dict[str, Any]] = (
            client.get("/v1/root-manifests").raise_for_status().json()["data"]
        )
        log = client.get(f"/log/{issuer_id}").raise_for_status().json()
    payload = json.loads(base64url_decode(json.loads(manifests[-1]["document"])["payload"]))
    return f"""
version = 1
issuer_id = "{issuer_id}"
[root]
keys = {json.dumps(payload["root_keys"])}
[checkpoint]
origin = "{log["origin"]}"
log_keys = {json.dumps(log["verifier_keys"])}
quorum = 0
"""


@pytest.mark.slow
def test_every_command_works_as_it_stands(
    lived: tuple[Served, dict[str, str]], tmp_path: Path
) -> None:
    served, administrator = lived
    here = tmp_path / "auditor"
    here.mkdir()
    (here / "bank.toml").write_text(bank_toml(served))
    blocks = fenced(AUDIT, "sh test")
    assert len(blocks) == 5
    if shutil.which("hledger", path=administrator["PATH"]) is not None:
        blocks += fenced(AUDIT, "sh test hledger")
    known = [f"URL={served.url}", f"AUDITOR={served.sandbox['keys']['auditor']}"]

    done = subprocess.run(
        ["bash", "-c", "\n".join(["set -euo pipefail", *known, *blocks])],
        cwd=here,
        env=administrator,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "\nVERIFIED\n" in done.stdout
    assert ": INTACT; " in done.stdout
    [remembered] = (here / "seen").iterdir()
    size = int(remembered.stem)
    assert len((here / "pack" / "events.jsonl").read_bytes().splitlines()) == size > 20
    assert (here / "beancount" / "journal.beancount").stat().st_size > 1_000
    _run_by_hand(here / "evidence")
    _come_again(here, known, administrator, size)


def _run_by_hand(evidence: Path) -> None:
    """Run the steps that need nothing of ours over what was taken along."""
    [example] = [one for one in examples() if one.document == "docs/audit.md"]
    done = subprocess.run(
        [sys.executable, "-c", example.code],
        cwd=evidence,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def _come_again(here: Path, known: list[str], administrator: dict[str, str], size: int) -> None:
    """At the next visit, what was remembered is held against the log: a shorter one is refused."""
    beginning, pack, *_ = fenced(AUDIT, "sh test")
    again = pack.replace("pack", "pack-2")
    script = "\n".join(["set -euo pipefail", *known, beginning, again])
    for expected in (0, 13):
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=here,
            env=administrator,
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
            check=False,
        )
        assert done.returncode == expected, done.stdout + done.stderr
        shutil.rmtree(here / "pack-2")
        # As if more had been seen than there is.
        seen = here / "seen" / f"{size}.txt"
        (here / "seen" / "9999.txt").write_text(seen.read_text().replace(f"\n{size}\n", "\n9999\n"))


def test_hledger_s_recipes_are_there_to_be_run() -> None:
    [block] = fenced(AUDIT, "sh test hledger")
    assert block.count("hledger -f hledger/journal.hledger") == 3
