"""The auditor's own file: what it may say, and that no misspelling passes for a rule."""

import base64
import json
from pathlib import Path

import pytest

from tallystick_verify import PolicyFileError, read_policy
from tests.verify.test_log import LOG_SIGNER, ORIGIN, WITNESSES

ISSUER = "issuer_00000000000000000000000000"
X = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
KID = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
ROOT = base64.b64encode(bytes(32)).decode()
SMALL = f'version = 1\nissuer_id = "{ISSUER}"\n[[keys]]\nx = "{X}"\n'
WHOLE = f"""
version = 1
issuer_id = "{ISSUER}"

[[keys]]
kid = "{KID}"
x = "{X}"
from_index = 3
until_index = 9

[approvals]
quorum = 1
[approvals.operations]
mint = 2

[checkpoint]
origin = "{ORIGIN}"
log_keys = ["{LOG_SIGNER.vkey}"]
witnesses = ["{WITNESSES[0].vkey}", "{WITNESSES[1].vkey}"]
quorum = 2
uncovered_events_max = 10

[[seen]]
size = 5
root = "{ROOT}"
"""


def _read(folder: Path, text: str, name: str = "bank.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_everything_that_can_be_said(tmp_path: Path) -> None:
    policy = read_policy(_read(tmp_path, 'held = "seen"\n' + WHOLE))

    [pin] = policy.pins
    assert (pin.public_key.kid, pin.from_index, pin.until_index) == (KID, 3, 9)
    assert (policy.quorum_of("mint"), policy.quorum_of("reversal")) == (2, 1)
    assert policy.checkpoint is not None
    assert (policy.checkpoint.origin, policy.checkpoint.quorum) == (ORIGIN, 2)
    assert [one.name for one in policy.checkpoint.witnesses] == [one.name for one in WITNESSES[:2]]
    assert [(one.size, one.root) for one in policy.seen] == [(5, bytes(32))]
    assert policy.held == tmp_path / "seen"


def test_as_little_as_can_be_said(tmp_path: Path) -> None:
    policy = read_policy(_read(tmp_path, SMALL))
    as_json = {"version": 1, "issuer_id": ISSUER, "keys": [{"x": X}]}

    assert policy.checkpoint is None
    assert read_policy(_read(tmp_path, json.dumps(as_json), "bank.json")).issuer_id == policy.issuer_id


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("version = 1", "version = 2", "version"),
        ("version = 1", "version = true", "version"),
        (ISSUER, "issuer_x", "issuer_id"),
        (X, X[:-1], "x"),
        (X, "A" * 43, "x"),
        (KID, "A" * 43, "kid"),
        ("from_index", "fromindex", "fromindex"),
        ("from_index = 3", "from_index = -1", "from_index"),
        ("quorum = 1\n", "quorum = 0\n", "quorum"),
        ("quorum = 1\n", "qorum = 1\n", "qorum"),
        ("mint = 2", "mint = 0", "mint"),
        ("quorum = 2", "quorum = 3", "quorum"),
        ("quorum = 2", "", "quorum"),
        (f'"{WITNESSES[1].vkey}"', f'"{WITNESSES[0].vkey}"', "twice"),
        (f'"{WITNESSES[1].vkey}"', f'"{LOG_SIGNER.vkey}"', "wrong type"),
        (f'["{LOG_SIGNER.vkey}"]', "[]", "log_keys"),
        (f'["{LOG_SIGNER.vkey}"]', '["x"]', "log_keys"),
        (f'"{ORIGIN}"', "5", "origin"),
        ("size = 5", "size = 0", "size"),
        (ROOT, "AAAA", "root"),
        ("[[seen]]", "[[sean]]", "sean"),
        ("[[keys]]", "[keys]", "keys"),
        ("[approvals]", "[aprovals]", "not known"),
    ],
)
def test_what_is_refused(old: str, new: str, named: str, tmp_path: Path) -> None:
    assert old in WHOLE

    with pytest.raises(PolicyFileError, match=named):
        read_policy(_read(tmp_path, WHOLE.replace(old, new, 1)))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("bank.toml", "version = "),
        ("bank.toml", ""),
        ("bank.json", "{}"),
        ("bank.json", '{"version":1,"version":1}'),
        ("bank.json", "[]"),
        ("bank.toml", f'version = 1\nissuer_id = "{ISSUER}"\n'),
        ("bank.toml", SMALL + f'[[keys]]\nx = "{X}"\n'),
    ],
)
def test_files_that_are_no_policy(name: str, text: str, tmp_path: Path) -> None:
    with pytest.raises(PolicyFileError):
        read_policy(_read(tmp_path, text, name))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PolicyFileError, match="can't be read"):
        read_policy(tmp_path / "nothing.toml")
