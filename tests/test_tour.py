"""The README's tour: its commands, word for word, against a real service; only the port is another."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from tests.cli.processes import REPOSITORY, environment, serving
from tests.database import DatabaseUrls

README: Final = (REPOSITORY / "README.md").read_text(encoding="utf-8")
TOUR: Final = README.partition("## A five-minute tour")[2].partition("\n## ")[0]
BLOCKS: Final = re.findall(r"^```bash\n(.*?)^```$", TOUR, re.DOTALL | re.MULTILINE)
MARK: Final = "=== block ends ==="


def documents(text: str) -> list[Any]:
    """Return every JSON object in a text, in order."""
    found = []
    decoder = json.JSONDecoder()
    place = text.find("{")
    while place >= 0:
        document, end = decoder.raw_decode(text, place)
        found.append(document)
        place = text.find("{", end)
    return found


@pytest.mark.slow
def test_the_tour_works_as_it_stands(database_urls: DatabaseUrls, tmp_path: Path) -> None:
    settings = {"database_url": database_urls.service_url, "database_owner_url": database_urls.owner_url}
    here = tmp_path / "repository"
    here.mkdir()
    (here / "examples").symlink_to(REPOSITORY / "examples")
    (here / "var").symlink_to(tmp_path / "state")
    # Harbour's payment is run twice, as its text invites to.
    blocks = [*BLOCKS[:5], BLOCKS[4], *BLOCKS[5:]]
    script = f"\necho '{MARK}'\n".join(["set -euo pipefail", *blocks])
    with serving(tmp_path / "state", "--sandbox", settings=settings) as served:
        assert script.count("http://127.0.0.1:8000") == 1
        done = subprocess.run(
            ["bash", "-c", script.replace("http://127.0.0.1:8000", served.url)],
            cwd=here,
            env=environment(tmp_path / "not-used"),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    said = done.stdout.split(f"{MARK}\n")[1:]
    assert len(said) == len(blocks) == 12
    check_minting(said[:4])
    check_moving(said[4:9])
    check_proofs(said[9:])


def check_minting(said: list[str]) -> None:
    assert said[0] == "", "finding one's keys says nothing"
    imported, balance = documents(said[1])
    assert imported["imported"]
    assert balance["deposits_available"] == "250000.00"
    assert (balance["available"], balance["total"]) == ("0.00", "0.00")

    [mint] = documents(said[2])
    assert mint["state"] == "pending_approval"
    [approved] = documents(said[3])
    assert (approved["state"], approved["instruction"]["state"]) == ("approved", "settled")
    assert approved["signed_event"].count(".") == 2


def check_moving(said: list[str]) -> None:
    first, second, refused, redeemed, assigned = said
    [transfer] = documents(first)
    assert (transfer["state"], transfer["amount"]) == ("settled", "1200.00")
    assert "idempotency-replayed" not in first.lower()
    assert "idempotency-replayed: true" in second.lower()
    assert first[first.index("{") :] == second[second.index("{") :], "byte for byte"
    [problem] = documents(refused)
    assert (problem["status"], problem["code"]) == (409, "idempotency_key_reused")
    assert problem["existing_id"] == transfer["id"]
    assert documents(redeemed)[0]["state"] == "settled"
    [deposit] = documents(assigned)
    assert (deposit["state"], deposit["amount"]) == ("settled", "777.77")


def check_proofs(said: list[str]) -> None:
    run, trial_balance = documents(said[0])
    assert (run["verdict"], run["findings"]) == ("tied", [])
    assert trial_balance["debit_total"] == trial_balance["credit_total"] == "1263278.27"
    assert trial_balance["supply"] == "249300.00"
    events, keys, export = documents(said[1])
    assert [one["index"] for one in events["data"]] == [0, 1]
    assert {one["key_id"] for one in events["data"]} == {
        one["kid"] for one in keys["keys"] if one["key_use"] == "event"
    }
    assert all(one["ties"] for one in export["manifest"]["control_totals"])
    assert all(len(one["sha256"]) == 64 for one in export["manifest"]["files"])
    [simulation] = documents(said[2])
    assert (simulation["effect"], simulation["reasons"][0]["code"]) == ("deny", "insufficient_funds")
