"""The verification of a pack, in order: its files, who signed, the log, the people, the books, the figures.

One pass over the events, in memory that grows with the number of accounts and not with that of events. Damage to the
files ends it at once, since nothing behind could be trusted; a signature, key or approval that does not hold is noted
and the pass goes on; an event that can't be understood or posted ends the replay, for the books are unknown from there.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

from tallystick_verify.approvals import Approvals
from tallystick_verify.canonical import JsonRefusedError, parse
from tallystick_verify.encodings import base64_text
from tallystick_verify.events import Event, KeyEvent, format_amount, read_event
from tallystick_verify.failures import ExitCode, Failure, PackFailure
from tallystick_verify.figures import (
    Journal,
    Movements,
    check_balances,
    check_register,
    check_totals,
    check_trial_balance,
)
from tallystick_verify.holders import check_leaves
from tallystick_verify.idempotency import check_idempotency
from tallystick_verify.instructions import Instructions
from tallystick_verify.jws import EVENT_TYPE, Token, read_token
from tallystick_verify.keys import KeyBook
from tallystick_verify.log import (
    LogTree,
    SignedCheckpoint,
    held_checkpoints,
    read_proof,
    remember,
    signed_checkpoint,
)
from tallystick_verify.manifest import MANIFEST_NAME, SIGNATURE_NAME, Manifest, read_manifest, read_signature
from tallystick_verify.pack import Pack, open_pack
from tallystick_verify.policy_file import Policy, Seen
from tallystick_verify.replay import Replay
from tallystick_verify.report import Report

__all__ = ["Options", "Progress", "verify_pack"]

#: Told what is being done, how much of it is done, and how much there is.
Progress = Callable[[str, int, int], None]

_PROGRESS_EVENTS: Final = 1_000
# Whatever else fails leaves the books as they are; behind these they are unknown.
_BOOKS_GO_ON: Final = frozenset({ExitCode.SIGNATURE, ExitCode.KEY, ExitCode.APPROVAL, ExitCode.FIGURES})
_UNPROVEN: Final = (
    "That the bank has the money: compare 1100 with the bank's own statement.",
    "Who people are: the names of makers and checkers are what the bank registered.",
    "Whose an account is: accounts.jsonl is told by the bank, and not signed event by event.",
)
_NO_CHECKPOINT: Final = (
    "THAT THIS IS THE ONLY LOG: there is no checkpoint, so whoever holds the signing key could have written another "
    "log and shown it to somebody else. Keep the root above, and hold the next pack against it.",
    "WHEN the events were written: no witness has seen them.",
)


class Options(NamedTuple):
    """What the auditor asks for. `held` is a folder of earlier checkpoints; `remember` adds to it what was verified."""

    allow_no_checkpoint: bool = False
    held: Path | None = None
    remember: bool = False


class _Parts(NamedTuple):
    """What one pass over the log fills."""

    keys: KeyBook
    tree: LogTree
    replay: Replay
    movements: Movements
    approvals: Approvals
    journal: Journal


def verify_pack(path: Path, policy: Policy, options: Options, progress: Progress) -> Report:
    """Verify a pack and return the report; failures are in it and never raised."""
    report = Report()
    check = "files"
    try:
        with open_pack(path) as pack:
            manifest = _check_files(pack, report, progress)
            if manifest.issuer_id != policy.issuer_id:
                raise PackFailure("The pack is of another issuer than the policy's.", place=MANIFEST_NAME)
            check = "manifest"
            signature = read_signature(pack.small(SIGNATURE_NAME), manifest)
            keys = KeyBook(policy.pins)
            check = "keys"
            _tell_keys(pack, keys)
            check = "checkpoint"
            signed = _checkpoint(pack, manifest, policy, options, report)
            if manifest.kind == "holder":
                check = "log"
                _verify_holder(pack, manifest, keys, signed, report)
            else:
                _verify_issuer(pack, manifest, keys, signed, policy, options, report, progress)
            _check_manifest(manifest, signature, keys, report)
    except Failure as failure:
        report.failed(check, failure)
    report.unproven += _UNPROVEN
    return report


def _check_files(pack: Pack, report: Report, progress: Progress) -> Manifest:
    manifest = read_manifest(pack.small(MANIFEST_NAME))
    report.pack = {
        "issuer_id": manifest.issuer_id,
        "legal_name": manifest.issuer.get("legal_name"),
        "kind": manifest.kind,
        "events": manifest.tree_size,
        "period": f"index {manifest.first_index} to {manifest.last_index}",
    }
    expected = {*manifest.files, MANIFEST_NAME, SIGNATURE_NAME}
    if extra := sorted(pack.sizes.keys() - expected):
        raise PackFailure("The pack holds a file that its manifest does not list.", place=extra[0])
    if missing := sorted(expected - pack.sizes.keys()):
        raise PackFailure("The file is missing.", place=missing[0])
    done, total = 0, sum(pack.sizes[name] for name in manifest.files)
    for name, facts in sorted(manifest.files.items()):

        def advance(size_bytes: int) -> None:
            nonlocal done
            done += size_bytes
            progress("hashing", done, total)

        sha256, size_bytes, lines = pack.digest(name, advance)
        if (sha256, size_bytes, lines) != (facts.sha256, facts.size_bytes, facts.rows):
            raise PackFailure("The file is not the one that the manifest lists.", place=name)
    report.passed("files", f"{len(manifest.files)} files, {total:,} bytes, as the manifest says")
    return manifest


def _tell_keys(pack: Pack, keys: KeyBook) -> None:
    for line in pack.lines("keys.jsonl"):
        try:
            keys.tell(parse(line))
        except JsonRefusedError as error:
            raise Failure(ExitCode.KEY, f"A row is malformed: {error}.", place="keys.jsonl") from None


def _checkpoint(
    pack: Pack, manifest: Manifest, policy: Policy, options: Options, report: Report
) -> SignedCheckpoint | None:
    """Return the pack's checkpoint, its signatures and quorum checked; None where the auditor allows that."""
    rule = policy.checkpoint
    if "checkpoint.txt" not in manifest.files:
        if not options.allow_no_checkpoint:
            raise Failure(
                ExitCode.LOG, "The pack has no checkpoint. Without one, --allow-no-checkpoint is needed."
            )
        report.skipped("checkpoint", "ALLOWED TO BE ABSENT: nobody but the bank vouches for this log")
        report.unproven += _NO_CHECKPOINT
        return None
    if rule is None:
        raise Failure(ExitCode.LOG, "The policy pins no log, so the checkpoint can't be judged.")
    signed = signed_checkpoint(pack.small("checkpoint.txt"), rule)
    for name in manifest.earlier_checkpoints:
        earlier = signed_checkpoint(pack.small(name), rule, quorum=0)
        if name != f"checkpoints/{earlier.checkpoint.size}.txt":
            raise Failure(ExitCode.LOG, "An earlier checkpoint is of another size than it is named.", place=name)
    if not rule.quorum:
        report.unproven.append(
            "THAT THIS IS THE ONLY LOG: the policy asks for no witness, so only the bank vouches for it."
        )
    return signed


def _verify_issuer(
    pack: Pack,
    manifest: Manifest,
    keys: KeyBook,
    signed: SignedCheckpoint | None,
    policy: Policy,
    options: Options,
    report: Report,
    progress: Progress,
) -> None:
    seen = _seen(pack, manifest, policy, options)
    wanted = {one.size for one in seen} | {manifest.tree_size}
    if signed is not None:
        wanted.add(signed.checkpoint.size)
    with closing(Instructions()) as instructions:
        parts = _Parts(
            keys,
            LogTree(wanted),
            Replay(manifest.issuer_id, instructions),
            Movements(),
            Approvals(pack.lines("approvals.jsonl"), policy),
            Journal(pack.lines("journal.jsonl")),
        )
        whole = _pass(pack, manifest, parts, report, progress)
    if parts.tree.tree.size != manifest.tree_size:
        return
    report.pack["root"] = base64_text(parts.tree.tree.root())
    _step(report, "log", lambda: f"{manifest.tree_size:,} events without a gap, root as above")
    if signed is not None:
        _step(report, "checkpoint", lambda: _covered(pack, manifest, parts.tree, signed, policy))
    _step(
        report, "seen before", lambda: f"{parts.tree.check_seen(seen, signed)} earlier roots lead to this log"
    )
    _step(report, "keys", lambda: _keys_hold(keys))
    if whole:
        _figures(pack, manifest, parts, report)
    if options.remember and options.held is not None and report.exit_code == ExitCode.OK:
        origin = policy.checkpoint.origin if policy.checkpoint else manifest.issuer_id
        remember(options.held, origin, manifest.tree_size, parts.tree.tree.root())


def _seen(pack: Pack, manifest: Manifest, policy: Policy, options: Options) -> list[Seen]:
    """Return every root that this log must lead to."""
    seen = list(policy.seen)
    folder = options.held or policy.held
    if folder is not None and folder.is_dir():
        try:
            seen += held_checkpoints(folder, None if policy.checkpoint is None else policy.checkpoint.origin)
        except (OSError, UnicodeDecodeError):
            raise Failure(ExitCode.LOG, "The checkpoints that you hold can't be read.") from None
    if policy.checkpoint is not None:
        for name in manifest.earlier_checkpoints:
            found = signed_checkpoint(pack.small(name), policy.checkpoint, quorum=0).checkpoint
            seen.append(Seen(found.size, found.root, name))
    return seen


def _pass(pack: Pack, manifest: Manifest, parts: _Parts, report: Report, progress: Progress) -> bool:
    """Go through the log once; tell whether the books were rebuilt to its end."""
    replaying, previous_booked_at, signatures = True, "", 0
    for index, leaf in enumerate(_leaves(pack)):
        if index >= manifest.tree_size:
            report.failed("log", Failure(ExitCode.LOG, "The log is longer than the manifest says."))
            return False
        if index == manifest.first_index:
            parts.replay.begin_period()
        parts.tree.add(leaf)
        try:
            event = _signed_event(leaf, index, parts, report)
            signatures += 1
            previous_booked_at = _check_place(event, index, manifest, previous_booked_at)
        except Failure as failure:
            report.failed(_check_of(failure), failure.at(f"event {index}"))
            return False
        if replaying:
            replaying = _take_up(event, manifest, parts, report)
        if report.full:
            return False
        if index % _PROGRESS_EVENTS == 0:
            progress("verifying", index, manifest.tree_size)
    progress("verifying", manifest.tree_size, manifest.tree_size)
    if parts.tree.tree.size < manifest.tree_size:
        report.failed("log", Failure(ExitCode.LOG, "The log ends before the manifest says."))
        return False
    if manifest.first_index == manifest.tree_size:
        parts.replay.begin_period()
    report.passed("events", f"{signatures:,} events: bytes, form, signature, and key at its index")
    return replaying


def _leaves(pack: Pack) -> Iterator[bytes]:
    for index, line in enumerate(pack.lines("events.jsonl")):
        prefix = b'{"index":%d,"jws":"' % index
        if not line.startswith(prefix) or not line.endswith(b'"}'):
            raise _odd_row(line, index)
        yield line[len(prefix) : -2]


def _odd_row(line: bytes, index: int) -> Failure:
    try:
        row = parse(line)
    except JsonRefusedError as error:
        return PackFailure(f"Row {index} is malformed: {error}.", place="events.jsonl")
    if isinstance(row, dict) and row.keys() == {"index", "jws"} and row["index"] != index:
        return Failure(ExitCode.LOG, f"Where event {index} belongs there is another one.", place="events.jsonl")
    return PackFailure(f"Row {index} is not in the form that is wanted.", place="events.jsonl")


def _signed_event(leaf: bytes, index: int, parts: _Parts, report: Report) -> Event | KeyEvent:
    """Return the event of a leaf; that its key or signature does not hold is noted, what can't be read is raised."""
    token = read_token(leaf, EVENT_TYPE)
    try:
        key = parts.keys.key_at(token.kid, index)
        if not key.verifies(token.signature, token.signing_input):
            raise Failure(ExitCode.SIGNATURE, "The signature does not verify.")
        parts.keys.signed(token.kid, index)
    except Failure as failure:
        report.failed(_check_of(failure), failure.at(f"event {index}"))
    return read_event(token.payload)


def _check_place(event: Event | KeyEvent, index: int, manifest: Manifest, previous_booked_at: str) -> str:
    """Raise Failure (log) unless the event was signed for this place; return its time."""
    if event.index != index:
        raise Failure(ExitCode.LOG, f"The event was signed for index {event.index}.")
    if event.issuer_id != manifest.issuer_id:
        raise Failure(ExitCode.LOG, "The event is another issuer's.")
    # Moments have one form of fixed length, so they sort as texts.
    if event.booked_at < previous_booked_at:
        raise Failure(ExitCode.LOG, "The event was booked before the one in front of it.")
    return event.booked_at


def _take_up(event: Event | KeyEvent, manifest: Manifest, parts: _Parts, report: Report) -> bool:
    """Check an event's people and post it; tell whether the books are still known behind it."""
    place = f"event {event.index}"
    if isinstance(event, KeyEvent):
        return _attempt(report, place, lambda: parts.keys.apply(event))
    known = _attempt(report, place, lambda: parts.approvals.check(event))

    def post() -> None:
        posted = parts.replay.post(event)
        if event.index >= manifest.first_index:
            parts.movements.add(event)
        parts.journal.check(event, posted)

    return known and _attempt(report, place, post)


def _attempt(report: Report, place: str, check: Callable[[], None]) -> bool:
    try:
        check()
    except Failure as failure:
        report.failed(_check_of(failure), failure.at(place))
        return failure.exit_code in _BOOKS_GO_ON
    return True


def _check_of(failure: Failure) -> str:
    return {
        ExitCode.PACK: "files",
        ExitCode.KEY: "keys",
        ExitCode.LOG: "log",
        ExitCode.APPROVAL: "approvals",
        ExitCode.BOOKS: "books",
        ExitCode.FIGURES: "journal",
    }.get(failure.exit_code, "events")


def _step(report: Report, name: str, check: Callable[[], str]) -> None:
    try:
        detail = check()
    except Failure as failure:
        report.failed(name, failure)
    else:
        report.passed(name, detail)


def _covered(
    pack: Pack, manifest: Manifest, tree: LogTree, signed: SignedCheckpoint, policy: Policy
) -> str:
    assert policy.checkpoint is not None
    proof = read_proof(pack.small("consistency.txt")) if "consistency.txt" in manifest.files else None
    uncovered = tree.check_covered(signed, proof, policy.checkpoint)
    names = ", ".join(one.name for one in signed.witnesses) or "nobody"
    behind = f"; {uncovered} events lie behind it" if uncovered else ""
    return f"size {signed.checkpoint.size:,}, signed by the log, cosigned by {names}{behind}"


def _keys_hold(keys: KeyBook) -> str:
    keys.finish()
    return f"{keys.told_count} keys, each trusted at every index that it signed"


def _figures(pack: Pack, manifest: Manifest, parts: _Parts, report: Report) -> None:
    replay, movements = parts.replay, parts.movements

    def approvals() -> str:
        parts.approvals.finish()
        return f"{parts.approvals.checked_count:,} approvals by {parts.approvals.vote_count:,} votes"

    def books() -> str:
        replay.check_classes()
        return f"{sum(replay.counts.values()):,} instructions, {len(replay.accounts):,} ledger accounts, floors held"

    def journal() -> str:
        parts.journal.finish()
        return f"{parts.journal.line_count:,} lines, account versions without gaps"

    def totals() -> str:
        check_totals(replay, movements, manifest.control_totals)
        return f"{len(replay.classes)} token classes, supply as replayed"

    _step(report, "approvals", approvals)
    _step(report, "books", books)
    _step(report, "idempotency", lambda: check_idempotency(pack.lines("idempotency.jsonl"), manifest.tree_size))
    _step(report, "journal", journal)
    _step(report, "balances", lambda: f"{check_balances(replay, pack.lines('balances.jsonl')):,} rows equal")
    _step(
        report,
        "trial balance",
        lambda: f"{check_trial_balance(replay, movements, pack.lines('trial_balance.jsonl')):,} rows equal",
    )
    _step(
        report,
        "register",
        lambda: (
            f"{check_register(replay, pack.lines('accounts.jsonl'), pack.lines('liabilities.jsonl')):,} rows equal"
        ),
    )
    _step(report, "control totals", totals)
    report.figures = [
        {
            "token_class_id": one.id,
            "currency": one.currency,
            "deposits_confirmed": format_amount(one.deposited_minor, one.scale),
            "deposits_released": format_amount(one.released_minor, one.scale),
            "minted": format_amount(one.minted_minor, one.scale),
            "redeemed": format_amount(one.redeemed_minor, one.scale),
            "supply": format_amount(one.supply_minor, one.scale),
        }
        for one in sorted(replay.classes.values(), key=lambda one: one.currency)
    ]


def _verify_holder(
    pack: Pack, manifest: Manifest, keys: KeyBook, signed: SignedCheckpoint | None, report: Report
) -> None:
    """Verify what a holder was given: some leaves of the log, each with the proof that it is in it."""
    if signed is None:
        raise Failure(ExitCode.LOG, "Leaves prove nothing without a checkpoint.")
    count = check_leaves(pack.lines("events.jsonl"), manifest, keys, signed.checkpoint)
    report.passed("events", f"{count:,} events: bytes, form, signature, and key at its index")
    report.passed("log", f"{count:,} events are in the log of {signed.checkpoint.size:,}")
    report.passed("checkpoint", f"size {signed.checkpoint.size:,}, {len(signed.witnesses)} witnesses")
    report.passed("keys", f"{keys.told_count} keys")
    report.unproven.append("Balances: these are some events of the log, and not all that concern an account.")


def _check_manifest(manifest: Manifest, token: Token, keys: KeyBook, report: Report) -> None:
    def signed() -> str:
        try:
            key = keys.manifest_key(token.kid)
        except Failure as failure:
            raise failure.at(SIGNATURE_NAME) from None
        if not key.verifies(token.signature, token.signing_input):
            raise Failure(ExitCode.SIGNATURE, "The manifest's signature does not verify.", place=SIGNATURE_NAME)
        return f"signed by {token.kid}"

    _step(report, "manifest", signed)
