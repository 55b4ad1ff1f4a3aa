"""Evidence packs of a long log: what making and verifying one takes, beside what one core can do at best.

Both are the commands themselves, in processes of their own, whose memory is looked at while they work: a command's peak
is the most that it and its children ever held together.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from benchmarks import resources
from benchmarks.bank import Bank, connect, open_bank, write_path
from benchmarks.subject import Samples, Subject
from tallystick import signing, transparency
from tallystick.core.base64url import base64url, decoded
from tallystick.core.embedded_postgres import EmbeddedPostgres
from tallystick.signing import KeyUse

__all__ = ["measure_packs"]

_ACCOUNTS: Final = 1_000
_FILL_SECONDS_MAX: Final = 3_600.0
_LOOK_SECONDS: Final = 0.1
_SIGNATURES: Final = 1_000
_BLOCK_BYTES: Final = 1_048_576


class _Ran(NamedTuple):
    seconds: float
    processor_seconds: float
    peak_rss_mb: float
    document: dict[str, object]


def measure_packs(
    server: EmbeddedPostgres, directory: Path, events: int, *, rounds: int, seconds: float
) -> list[Samples]:
    """Fill a log, then make and verify a pack of it, `rounds` times; each limit is measured in the same round."""
    bank = open_bank(server, directory, "packs", _ACCOUNTS)
    with Subject(bank, resources.postmaster_id(server), services=()) as subject:
        subject.fill(events, _FILL_SECONDS_MAX)
    policy = _policy(bank)
    messages = _signed(bank)
    found = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(dir=directory) as folder:
            found.append(_measure(bank, policy, messages, Path(folder), seconds))
    return found


def _measure(
    bank: Bank, policy: Path, messages: Sequence[tuple[bytes, bytes]], folder: Path, seconds: float
) -> Samples:
    made = _run(
        ["-m", "tallystick", "export", "--format", "evidence", "--output", str(folder), "--json"], bank
    )
    pack = Path(str(made.document["folder"]))
    verified = _run(["-m", "tallystick_verify", str(pack), "--policy", str(policy), "--json"], bank)
    assert verified.document["verdict"] == "verified", verified.document
    size_mb = sum(one.stat().st_size for one in pack.iterdir()) / 1e6
    manifest = made.document["manifest"]
    assert isinstance(manifest, dict)
    events = int(manifest["last_event_index"]) + 1
    limit, processor_limit = _verifications_per_second(bank, messages, seconds)
    return {
        "export_rss_mb": made.peak_rss_mb,
        "verify_rss_mb": verified.peak_rss_mb,
        "pack_events": float(events),
        "pack_size_mb": size_mb,
        "export_per_second": events / made.seconds,
        "export_mb_per_second": size_mb / made.seconds,
        "verify_per_second": events / verified.seconds,
        "verify_mb_per_second": size_mb / verified.seconds,
        "verify_processor_per_second": events / verified.processor_seconds,
        "limit_ed25519_verify_per_second": limit,
        "limit_ed25519_verify_processor_per_second": processor_limit,
        "limit_sha256_mb_per_second": _sha256_mb_per_second(seconds),
    }


def _run(arguments: list[str], bank: Bank) -> _Ran:
    """Run a command of ours to its end; it must leave with status 0 and one JSON document."""
    environment = os.environ | {
        "TALLYSTICK_DATABASE_URL": bank.service_url,
        "TALLYSTICK_STATE_DIRECTORY": bank.state_directory,
        "TALLYSTICK_API_KEY": bank.auditor_key,
    }
    peak_mb = 0.0
    began = time.perf_counter()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen([sys.executable, *arguments], env=environment, stdout=output)
        while True:
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
            if ended:
                break
            members = resources.family(process.pid)
            peak_mb = max(peak_mb, sum(resources.rss_mb(one) for one in members))
            if len(members) == 1:
                # The kernel's own mark; that of `wait4` would count what this process held when it forked.
                peak_mb = max(peak_mb, resources.peak_rss_mb(process.pid))
            time.sleep(_LOOK_SECONDS)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, arguments
        output.seek(0)
        return _Ran(seconds, usage.ru_utime + usage.ru_stime, peak_mb, json.load(output))


def _policy(bank: Bank) -> Path:
    """Put the whole log under a checkpoint, and write the policy file of an auditor who pinned its keys."""
    service = write_path(bank)
    try:
        while transparency.integrate(service.database, service.log, bank.issuer_id) < _log_size(bank):
            pass
        with service.database.read() as connection:
            origin, log_keys = transparency.log_keys(connection, bank.issuer_id)
            keys = signing.list_keys(connection, bank.issuer_id, use=KeyUse.EVENT)
    finally:
        service.close()
    document = {
        "version": 1,
        "issuer_id": bank.issuer_id,
        "keys": [{"x": base64url(key.public_key).decode()} for key in keys],
        "checkpoint": {"origin": origin, "log_keys": log_keys, "quorum": 0},
    }
    path = Path(bank.state_directory) / "policy.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def _log_size(bank: Bank) -> int:
    with connect(bank.superuser_url) as connection:
        row = connection.execute(
            "SELECT next_index FROM log_head WHERE issuer_id = %s", [bank.issuer_id]
        ).fetchone()
    assert row is not None
    return int(str(row[0]))


def _signed(bank: Bank) -> list[tuple[bytes, bytes]]:
    """Return what some events' signatures are over, and the signatures."""
    with connect(bank.superuser_url) as connection:
        rows = connection.execute(
            "SELECT jws FROM event WHERE issuer_id = %s ORDER BY event_index DESC LIMIT %s",
            [bank.issuer_id, _SIGNATURES],
        ).fetchall()
    found = [str(row[0]).rpartition(".") for row in rows]
    return [(message.encode(), decoded(signature)) for message, _, signature in found]


def _verifications_per_second(
    bank: Bank, messages: Sequence[tuple[bytes, bytes]], seconds: float
) -> tuple[float, float]:
    """Return how many a second of wall time, and of processor time, one thread verifies."""
    with connect(bank.superuser_url) as connection:
        row = connection.execute(
            "SELECT public_key FROM signing_key WHERE issuer_id = %s AND use = 'event'", [bank.issuer_id]
        ).fetchone()
    assert row is not None
    public_key = row[0]
    assert isinstance(public_key, bytes)
    verify = Ed25519PublicKey.from_public_bytes(public_key).verify
    count = 0
    processor_began = time.process_time()
    began = ended = time.perf_counter()
    while ended - began < seconds:
        for message, signature in messages:
            verify(signature, message)
        count += len(messages)
        ended = time.perf_counter()
    return count / (ended - began), count / (time.process_time() - processor_began)


def _sha256_mb_per_second(seconds: float) -> float:
    block = os.urandom(_BLOCK_BYTES)
    digest = hashlib.sha256()
    count = 0
    began = ended = time.perf_counter()
    while ended - began < seconds:
        digest.update(block)
        count += 1
        ended = time.perf_counter()
    return count * _BLOCK_BYTES / 1e6 / (ended - began)
