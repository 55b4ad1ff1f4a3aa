"""The command: exit codes, the report for people and for machines, and a folder of its own on a bare machine."""

import base64
import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import cryptography
import pytest

import tallystick_verify
from tallystick_verify.cli import run
from tests.verify.packs import Evidence
from tests.verify.test_log import LOG_SIGNER, ORIGIN, WITNESSES, inclusion, leaves_of, note

SECONDS_MAX = 60


def policy_of(evidence: Evidence, folder: Path, more: str = "") -> Path:
    [pin] = evidence.pinned.pins
    path = folder / "bank.json"
    keys = [{"x": _x(pin.public_key.octets)}]
    path.write_text(
        json.dumps(
            {"version": 1, "issuer_id": evidence.bank.issuer_id, "keys": keys} | json.loads(more or "{}")
        )
    )
    return path


def _x(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")


@pytest.fixture
def alone(tmp_path: Path) -> list[str]:
    """The command as it runs from a copy of the package beside nothing but `cryptography`."""
    folder = tmp_path / "alone"
    shutil.copytree(Path(tallystick_verify.__file__).parent, folder / "tallystick_verify")
    packages = Path(cryptography.__file__).parent.parent
    for needed in ("cryptography", "cffi", "_cffi_backend*", "pycparser"):
        for found in packages.glob(needed):
            (folder / found.name).symlink_to(found)
    start = f"import sys; sys.path.append({str(folder)!r}); from tallystick_verify.cli import main; main()"
    # No user site, no environment, no installed packages: -I and -S.
    return [sys.executable, "-I", "-S", "-c", start]


def _ran(command: list[str], *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, timeout=SECONDS_MAX, check=False
    )


def test_it_runs_alone(alone: list[str], evidence: Evidence, tmp_path: Path) -> None:
    pack, policy = evidence.insider().save(tmp_path / "pack"), policy_of(evidence, tmp_path)

    told = _ran(alone, pack, "--policy", policy, "--allow-no-checkpoint")
    machine = _ran(alone, pack, "--policy", policy, "--allow-no-checkpoint", "--json")

    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.rstrip().endswith("VERIFIED")
    assert "THAT THIS IS THE ONLY LOG" in told.stdout
    document = json.loads(machine.stdout)
    assert (machine.returncode, document["verdict"], document["exit_code"]) == (0, "verified", 0)
    assert document["unproven"]


def test_what_fails_says_so(alone: list[str], evidence: Evidence, tmp_path: Path) -> None:
    insider = evidence.insider()
    insider.edit("balances.jsonl", lambda rows: rows[0].update(balance="1.00"))
    pack, policy = insider.save(tmp_path / "pack"), policy_of(evidence, tmp_path)

    told = _ran(alone, pack, "--policy", policy, "--allow-no-checkpoint")
    strict = _ran(alone, pack, "--policy", policy, "--json")

    assert told.returncode == 16
    assert "[16 figures] balances.jsonl" in told.stdout
    assert told.stdout.rstrip().endswith("FAILED (figures, exit code 16)")
    assert strict.returncode == 13
    assert {one["class"] for one in json.loads(strict.stdout)["findings"]} == {"log", "figures"}


@pytest.mark.parametrize("arguments", [[], ["pack"], ["pack", "--policy"], ["--loud"]])
def test_wrong_options(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(arguments)

    assert ended.value.code == 2
    assert "usage: tallystick-verify" in capfd.readouterr().err


def test_the_exit_codes_are_told(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(["--help"])

    told = capfd.readouterr().out
    for code in tallystick_verify.ExitCode:
        assert f"\n  {int(code):>2}  " in told


def test_a_policy_that_is_none(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run([str(tmp_path), "--policy", str(tmp_path / "nothing.toml")]) == 2
    assert capfd.readouterr().err.startswith("policy: ")


def test_remembering_needs_a_place(
    evidence: Evidence, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pack, policy = evidence.insider().save(tmp_path / "pack"), policy_of(evidence, tmp_path)

    assert run([str(pack), "--policy", str(policy), "--remember"]) == 2
    held = tmp_path / "held"
    asked = [str(pack), "--policy", str(policy), "--allow-no-checkpoint", "--held", str(held), "--remember"]
    assert run(asked) == 0
    assert run(asked) == 0
    assert "1 earlier roots" in capfd.readouterr().out
    (held / "36.txt").write_text((held / "36.txt").read_text().replace("\n36\n", "\n37\n"))
    assert run(asked) == 13


def test_a_fault_of_the_verifier_is_no_verdict(
    evidence: Evidence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(*_arguments: object) -> None:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr("tallystick_verify.cli.verify_pack", fail)

    assert run([str(tmp_path), "--policy", str(policy_of(evidence, tmp_path))]) == 18
    assert "NOTHING IS VERIFIED" in capfd.readouterr().err


def test_receipts(evidence: Evidence, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    leaves = leaves_of(evidence.insider())
    proof = "".join(base64.b64encode(one).decode() + "\n" for one in inclusion(5, leaves))
    receipt, event = tmp_path / "event.tlog-proof", tmp_path / "event.jws"
    receipt.write_bytes(
        f"c2sp.org/tlog-proof@v1\nindex 5\n{proof}\n".encode() + note(leaves, [LOG_SIGNER, *WITNESSES])
    )
    event.write_bytes(leaves[5] + b"\n")
    rule = {"origin": ORIGIN, "log_keys": [LOG_SIGNER.vkey], "witnesses": [WITNESSES[0].vkey], "quorum": 1}
    policy = policy_of(evidence, tmp_path, json.dumps({"checkpoint": rule}))

    assert run([str(receipt), "--event", str(event), "--policy", str(policy)]) == 0
    assert "VERIFIED" in capfd.readouterr().out
    event.write_bytes(leaves[4])
    assert run([str(receipt), "--event", str(event), "--policy", str(policy), "--json"]) == 13
    assert json.loads(capfd.readouterr().out)["class"] == "log"
    assert run([str(receipt), "--event", str(tmp_path / "no"), "--policy", str(policy)]) == 2


def test_a_terminal_is_shown_how_far_it_is(evidence: Evidence, tmp_path: Path) -> None:
    pack, policy = evidence.insider().save(tmp_path / "pack"), policy_of(evidence, tmp_path)
    ours, theirs = pty.openpty()
    command = [
        sys.executable,
        "-m",
        "tallystick_verify",
        str(pack),
        "--policy",
        str(policy),
        "--allow-no-checkpoint",
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=theirs, timeout=SECONDS_MAX, check=False)
    os.close(theirs)
    shown = os.read(ours, 65_536).decode()
    os.close(ours)

    assert done.returncode == 0
    assert "verifying  [##" in shown
    assert "100.0%" in shown
