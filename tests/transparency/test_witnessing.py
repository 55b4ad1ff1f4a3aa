"""Gathering cosignatures from witnesses on real sockets: honest ones, absent ones, and ones that answer nonsense."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import pytest
import uvicorn

from tallystick import events, transparency
from tallystick.transparency import (
    Asked,
    LogFollower,
    Witness,
    WitnessPolicy,
    WitnessPolicyMalformedError,
    ask_witness,
    parse_receipt,
    parse_witness_policy,
    verify_receipt,
    witness_client,
)
from tallystick.transparency.add_checkpoint import format_add_checkpoint
from tallystick.transparency.integrating import integrate
from tallystick.transparency.notes import (
    COSIGNATURE_V1,
    cosign,
    format_signature,
    parse_note,
    parse_verifier_key,
    verify_note,
)
from tallystick.witness import Witness as Watcher
from tallystick.witness import build_witness, create_witness, open_records
from tests.api.edge import Server
from tests.transparency.keys import key_of, signer_of
from tests.transparency.logs import Issuer, add_events, audited, log_of

TILES: Final = transparency.DatabaseTiles()


@contextmanager
def watching(issuer: Issuer, directory: Path, name: str) -> Iterator[Witness]:
    """Serve a real witness of the issuer's log in a thread; yield how it is configured at the log."""
    if not directory.exists():
        create_witness(directory, name, None)
    with issuer.database.read() as connection:
        _, keys = transparency.log_keys(connection, issuer.issuer_id)
    (directory / "logs.txt").write_text("\n".join(keys))
    with open_records(directory, None) as records:
        config = uvicorn.Config(
            build_witness(Watcher(records, issuer.clock)), port=0, log_level="warning", lifespan="off"
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        running = Server(None, server, thread)  # type: ignore[arg-type]
        try:
            yield Witness(records.key, running.url)
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def answering(status: int, body: Callable[[bytes], bytes], media_type: str = "text/plain") -> Iterator[str]:
    """Serve something that is no honest witness; yield its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = body(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(status)
            self.send_header("content-type", media_type)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def grow_to(issuer: Issuer, count: int) -> None:
    add_events(issuer, count)
    integrate(issuer.database, log_of(issuer), issuer.issuer_id)


def ask(issuer: Issuer, witness: Witness) -> Asked:
    with witness_client() as client:
        return ask_witness(issuer.database, TILES, issuer.issuer_id, witness, client)


def published(issuer: Issuer, policy: WitnessPolicy) -> str:
    with issuer.database.read() as connection:
        return transparency.published_checkpoint(connection, issuer.issuer_id, policy)


def test_a_checkpoint_is_witnessed_when_a_quorum_has_cosigned_it(issuer: Issuer, tmp_path: Path) -> None:
    grow_to(issuer, 300)
    with ExitStack() as stack:
        witnesses = tuple(
            stack.enter_context(watching(issuer, tmp_path / name, f"{name}.example"))
            for name in ("w1", "w2", "w3")
        )
        policy = WitnessPolicy(witnesses, 2)
        assert ask(issuer, witnesses[0]) == Asked.COSIGNED
        assert ask(issuer, witnesses[0]) == Asked.NOTHING_NEW
        with issuer.database.read() as connection:
            standing = transparency.standing(connection, issuer.issuer_id, policy)
        assert (standing.signed_size, standing.witnessed_size, standing.window) == (300, 0, 300)
        assert [one.cosigned_size for one in standing.witnesses] == [300, 0, 0]

        assert ask(issuer, witnesses[1]) == Asked.COSIGNED
        grow_to(issuer, 300)
        with issuer.database.read() as connection:
            standing = transparency.standing(connection, issuer.issuer_id, policy)
            early, late = (
                transparency.receipt(connection, TILES, issuer.issuer_id, index, policy) for index in (7, 450)
            )
            origin, keys = transparency.log_keys(connection, issuer.issuer_id)
        assert (standing.signed_size, standing.witnessed_size, standing.window) == (600, 300, 300)
        with issuer.database.read() as connection:
            [oldest] = events.events_at(connection, issuer.issuer_id, [300])
        # Time passes, and event 300 is the oldest that no quorum has seen.
        assert standing.unwitnessed_since == oldest.booked_at
        assert standing.window_seconds(oldest.booked_at + timedelta(seconds=61.9)) == 61
        assert standing.window_seconds(oldest.booked_at - timedelta(seconds=5)) == 0
        # What is published, and the receipts under it, say who has seen it; what nobody has seen yet says so too.
        note = parse_note(published(issuer, policy).encode())
        cosigners = verify_note(note, [one.key for one in witnesses])
        assert sorted(one.name for one in cosigners) == ["w1.example", "w2.example"]
        log_keys = [parse_verifier_key(one) for one in keys]
        for receipt, index, quorum in ((early, 7, 2), (late, 450, 0)):
            checkpoint = verify_receipt(
                parse_receipt(receipt.encode()),
                f"event.{issuer.issuer_id}.{index}".encode(),
                origin=origin,
                log_keys=log_keys,
                witness_keys=[one.key for one in witnesses],
                quorum=quorum,
            )
            assert checkpoint.size == (300 if quorum else 600)
        assert [ask(issuer, one) for one in witnesses] == [Asked.COSIGNED] * 3
        with issuer.database.read() as connection:
            standing = transparency.standing(connection, issuer.issuer_id, policy)
        much_later = oldest.booked_at + timedelta(days=9)
        assert (standing.window, standing.window_seconds(much_later)) == (0, 0)
        assert len(parse_note(published(issuer, policy).encode()).signatures) == 1 + 3
    assert audited(issuer).cosignature_count == 5
    assert audited(issuer).findings == []


def test_a_witness_that_forgot_or_knows_more_is_asked_from_where_it_stands(
    issuer: Issuer, tmp_path: Path
) -> None:
    grow_to(issuer, 5)
    with watching(issuer, tmp_path / "w", "w.example") as witness:
        assert ask(issuer, witness) == Asked.COSIGNED
    grow_to(issuer, 300)
    # Its answer was lost on the way here: it stands at a size that was never kept.
    with watching(issuer, tmp_path / "w", "w.example") as witness:
        with issuer.database.engine.connect() as connection:
            note = transparency.published_checkpoint(connection, issuer.issuer_id, transparency.NO_WITNESSES)
            proof = transparency.consistency(connection, TILES, issuer.issuer_id, 5, 305).hashes
        with witness_client() as client:
            body = format_add_checkpoint(5, proof, note)
            assert client.post(f"{witness.url}/add-checkpoint", content=body).status_code == 200
        grow_to(issuer, 10)
        assert ask(issuer, witness) == Asked.COSIGNED
    with watching(issuer, tmp_path / "fresh", "w.example") as fresh:
        grow_to(issuer, 1)
        # Another key of the same name: nothing is known of it here, nor of us there.
        assert ask(issuer, fresh) == Asked.COSIGNED


def test_a_log_that_was_put_back_learns_of_it(issuer: Issuer) -> None:
    grow_to(issuer, 5)
    key = key_of("w.example", COSIGNATURE_V1)
    with answering(409, lambda _body: b"9\n", "text/x.tlog.size") as url:
        assert ask(issuer, Witness(key, url)) == Asked.AHEAD


NONSENSE: Final = {
    "an error": (500, b"oops", "text/plain"),
    "a refusal": (403, b"no", "text/plain"),
    "a size of another type": (409, b"3\n", "text/plain"),
    "a size that is none": (409, b"003\n", "text/x.tlog.size"),
    "nothing": (200, b"", "text/plain"),
    "no line": (200, b"\xff\xfe thanks\n", "text/plain"),
    "another's line": (200, None, "text/plain"),
    "a redirect": (302, b"", "text/plain"),
}


@pytest.mark.parametrize("what", NONSENSE)
def test_nonsense_is_not_kept(issuer: Issuer, what: str) -> None:
    grow_to(issuer, 5)
    status, content, media_type = NONSENSE[what]
    key = key_of("w.example", COSIGNATURE_V1)

    def body(sent: bytes) -> bytes:
        text = parse_note(sent.partition(b"\n\n")[2]).text
        forged = cosign(text, key, signer_of("somebody"), 7)
        return format_signature(forged).encode() if content is None else content

    with answering(status, body, media_type) as url:
        assert ask(issuer, Witness(key, url)) == Asked.REFUSED
    assert audited(issuer).cosignature_count == 0


def test_a_witness_that_is_away_or_endless_is_unreachable(issuer: Issuer) -> None:
    grow_to(issuer, 5)
    key = key_of("w.example", COSIGNATURE_V1)
    assert ask(issuer, Witness(key, "http://127.0.0.1:1")) == Asked.UNREACHABLE
    with answering(200, lambda _body: b"x" * 1_000_000) as url:
        assert ask(issuer, Witness(key, url)) == Asked.UNREACHABLE


def window_of(issuer: Issuer, policy: WitnessPolicy) -> int:
    with issuer.database.read() as connection:
        return transparency.standing(connection, issuer.issuer_id, policy).window


def test_the_follower_integrates_and_gathers_until_it_is_closed(issuer: Issuer, tmp_path: Path) -> None:
    grow_to(issuer, 1)
    with watching(issuer, tmp_path / "w", "w.example") as witness:
        away = Witness(key_of("away.example", COSIGNATURE_V1), "http://127.0.0.1:1")
        policy = WitnessPolicy((witness, away), 1)
        follower = LogFollower(issuer.database, log_of(issuer), policy, interval_seconds=0.02)
        follower.start()
        try:
            add_events(issuer, 5_000)
            deadline = time.monotonic() + 60
            while window_of(issuer, policy) and time.monotonic() < deadline:
                time.sleep(0.02)
        finally:
            follower.close()
    assert window_of(issuer, policy) == 0
    assert audited(issuer).size == 5_001
    assert audited(issuer).findings == []


WITNESS: Final = str(key_of("w1.example", COSIGNATURE_V1))
SECOND: Final = str(key_of("w2.example", COSIGNATURE_V1))


def test_a_policy_names_witnesses_and_a_quorum() -> None:
    policy = parse_witness_policy(f"{WITNESS} https://w1.example/,{SECOND} http://w2.example:81/x", 2)
    assert [one.url for one in policy.witnesses] == ["https://w1.example", "http://w2.example:81/x"]
    assert policy.keys == [WITNESS, SECOND]
    assert parse_witness_policy(None, 0) == parse_witness_policy(" ", 0) == transparency.NO_WITNESSES


@pytest.mark.parametrize(
    ("text", "quorum"),
    [
        (f"{WITNESS} https://w1.example", 2),
        (None, 1),
        (WITNESS, 1),
        (f"{WITNESS} ftp://w1.example", 1),
        (f"{WITNESS} https://a.example, {WITNESS} https://b.example", 1),
        (f"{key_of('w1.example')} https://w1.example", 1),
    ],
)
def test_a_policy_that_can_not_be_is_refused(text: str | None, quorum: int) -> None:
    with pytest.raises(WitnessPolicyMalformedError):
        parse_witness_policy(text, quorum)
