"""The verification of a pack, in order: its files, who signed, the log, the people, the books, the figures.

One pass over the events, in memory that grows with the number of accounts and not with that of events. Damage to the
files ends it at once, since nothing behind could be trusted.
"""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from tallystick_verify.approvals import Approvals
from tallystick_verify.canonical import JsonRefusedError, parse
from tallystick_verify.encodings import base64_text
from tallystick_verify.events import Event, format_amount
from tallystick_verify.facts import Fact
from tallystick_verify.failures import ExitCode, Failure, PackFailure
from tallystick_verify.figures import (
    Journal,
    Movements,
    check_balances,
    check_register,
    check_totals,
    check_trial_balance,
)
from tallystick_verify.holder_books import HolderBooks
from tallystick_verify.holders import check_leaves
from tallystick_verify.idempotency import check_idempotency
from tallystick_verify.instructions import Instructions
from tallystick_verify.jws import Token
from tallystick_verify.keys import KeyBook
from tallystick_verify.log import (
    LogTree,
    SignedCheckpoint,
    held_checkpoints,
    read_proof,
    remember,
    signed_checkpoint,
)
from tallystick_verify.manifest import (
    HOLDER_TABLES,
    MANIFEST_NAME,
    ROOT_MANIFESTS_NAME,
    SIGNATURE_NAME,
    Manifest,
    read_manifest,
    read_signature,
)
from tallystick_verify.merkle import KeptTree
from tallystick_verify.pack import Pack, open_pack
from tallystick_verify.policy_file import Policy, Seen
from tallystick_verify.replay import Replay
from tallystick_verify.report import Report
from tallystick_verify.roots import read_root
from tallystick_verify.told import POLICIES, RECONCILIATIONS, check_policies, check_reconciliations
from tallystick_verify.walking import Progress, Walk

__all__ = ["Options", "Progress", "verify_pack"]

_UNPROVEN: Final = (
    "That the bank has the money: compare 1100, and the statement entries that deposits name, with its own statements.",
    "Who people are: the names of makers and checkers are what the bank registered.",
    "Whose an account is: accounts.jsonl is told by the bank, and not signed event by event.",
)
_NO_CHECKPOINT: Final = (
    "THAT THIS IS THE ONLY LOG: no checkpoint vouches for it, so whoever holds the signing key could have written "
    "another one and shown it to somebody else. Keep the root above, and hold the next pack against it."
)
_LEAVES_ONLY: Final = "Balances: some events of the log, and not all that concern an account."
_LEAVES_LEFT_OUT: Final = (
    "THAT NO EVENT IS LEFT OUT: the balances are what the events in this pack come to. Hold them against your own "
    "records; what you were told of and don't find here, ask for by its receipt."
)
_NO_TIME: Final = "WHEN the events were written: no witness has seen them."
_NO_WITNESS: Final = (
    "THAT THIS IS THE ONLY LOG: the policy asks for no witness, so only the bank vouches for it."
)


class Options(NamedTuple):
    """What the auditor asks for.

    `held` is a folder of earlier checkpoints; `remember` adds to it what was verified. `helpers` are processes that
    take leaves apart beside this one, where the log is long.
    """

    allow_no_checkpoint: bool = False
    held: Path | None = None
    remember: bool = False
    helpers: int = 0


def verify_pack(path: Path, policy: Policy, options: Options, progress: Progress) -> Report:
    """Verify a pack and return the report; failures are in it and never raised."""
    report = Report()
    try:
        with open_pack(path) as pack:
            manifest = _check_files(pack, report, progress)
            _Verification(pack, manifest, policy, options, report, KeyBook(policy.pins)).make(progress)
    except Failure as failure:
        report.failed("files", failure)
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

    def advance(size_bytes: int) -> None:
        nonlocal done
        done += size_bytes
        progress("hashing", done, total)

    for name, facts in sorted(manifest.files.items()):
        sha256, size_bytes, lines = pack.digest(name, advance)
        if (sha256, size_bytes, lines) != (facts.sha256, facts.size_bytes, facts.rows):
            raise PackFailure("The file is not the one that the manifest lists.", place=name)
    report.passed("files", f"{len(manifest.files)} files, {total:,} bytes, as the manifest says")
    return manifest


@dataclass(slots=True)
class _Verification:
    """The checks behind those of the files."""

    pack: Pack
    manifest: Manifest
    policy: Policy
    options: Options
    report: Report
    keys: KeyBook
    signed: SignedCheckpoint | None = None

    def make(self, progress: Progress) -> None:
        """Make every check that can be made."""
        signature: list[Token] = []
        if not self._step("manifest", lambda: self._read_signature(signature)):
            return
        if not self._step("root", self._trust_root) or not self._step("keys", self._tell_keys):
            return
        # Whoever shows no checkpoint, or a wrong one, is still told what else is wrong.
        self._step("checkpoint", self._read_checkpoint)
        if self.manifest.kind == "holder":
            self._step("events", self._check_leaves)
        else:
            self._step("events", lambda: self._check_log(progress))
        self._step("manifest", lambda: self._check_signature(signature[0]))
        self._remember()

    def _read_signature(self, signature: list[Token]) -> str:
        if self.manifest.issuer_id != self.policy.issuer_id:
            raise PackFailure("The pack is of another issuer than the policy's.", place=MANIFEST_NAME)
        signature.append(read_signature(self.pack.small(SIGNATURE_NAME), self.manifest))
        return "signed, not verified"

    def _check_signature(self, token: Token) -> str:
        try:
            key = self.keys.manifest_key(token.kid)
        except Failure as failure:
            raise failure.at(SIGNATURE_NAME) from None
        if not key.verifies(token.signature, token.signing_input):
            raise Failure(
                ExitCode.SIGNATURE, "The manifest's signature does not verify.", place=SIGNATURE_NAME
            )
        return f"signed by {token.kid}"

    def _trust_root(self) -> str | None:
        """Take the root manifests of a whole log; what holders are given is judged by pinned keys."""
        rule = self.policy.root
        if rule is None or self.manifest.kind == "holder":
            self.report.skipped("root", "no root is asked: every key is trusted as the policy pins it")
            return None
        if ROOT_MANIFESTS_NAME not in self.manifest.files:
            raise Failure(ExitCode.KEY, "The policy pins a root, and the pack has no root manifest.")
        root = read_root(self.pack.lines(ROOT_MANIFESTS_NAME), rule, self.policy)
        self.keys.trust_root(root)
        return f"version {root.version} of {root.origin} names {len(root.keys)} keys"

    def _tell_keys(self) -> str:
        for line in self.pack.lines("keys.jsonl"):
            try:
                self.keys.tell(parse(line))
            except JsonRefusedError as error:
                raise Failure(ExitCode.KEY, f"A row is malformed: {error}.", place="keys.jsonl") from None
        return "told, and not yet held against the log"

    def _read_checkpoint(self) -> str | None:
        """Check the checkpoint's signatures and quorum; keep it for the root to be compared."""
        rule = self.policy.checkpoint
        if "checkpoint.txt" not in self.manifest.files:
            self.report.unproven += (_NO_CHECKPOINT, _NO_TIME)
            if not self.options.allow_no_checkpoint:
                raise Failure(
                    ExitCode.LOG,
                    "The pack has no checkpoint. To take it all the same: --allow-no-checkpoint.",
                )
            self.report.skipped("checkpoint", "ALLOWED TO BE ABSENT: only the bank vouches for this log")
            return None
        if rule is None:
            raise Failure(ExitCode.LOG, "The policy pins no log, so the checkpoint can't be judged.")
        self.signed = signed_checkpoint(self.pack.small("checkpoint.txt"), rule)
        if not rule.quorum:
            self.report.unproven.append(_NO_WITNESS)
        return "signed, its root not compared"

    def _check_log(self, progress: Progress) -> str | None:
        seen = self._seen()
        wanted = {one.size for one in seen} | ({self.signed.checkpoint.size} if self.signed else set())
        with closing(Instructions()) as instructions, closing(KeptTree()) as tree:
            walk = Walk(
                self.manifest,
                self.report,
                self.keys,
                LogTree(wanted | {self.manifest.tree_size}, tree),
                Replay(self.manifest.issuer_id, instructions),
                Movements(),
                Approvals(self.pack.lines("approvals.jsonl"), self.policy, instructions),
                Journal(self.pack.lines("journal.jsonl")),
                self.options.helpers,
            )
            whole = walk.go(self.pack.lines("events.jsonl"), progress)
        if whole:
            self.report.pack["root"] = base64_text(walk.tree.root())
            self._step("log", lambda: f"{self.manifest.tree_size:,} events without a gap, root as above")
            self._step("checkpoint", lambda: self._covered(walk.tree))
            covered = self._vouched_for()
            if not self._step("seen before", lambda: self._seen_before(walk.tree, seen)):
                covered = []
            self._step("keys", lambda: self._keys_hold(covered))
        if whole and walk.replayed:
            self._figures(walk)
        return None

    def _check_leaves(self) -> str:
        """Check what a holder was given: some leaves of the log, each with the proof that it is in it."""
        if self.signed is None:
            raise Failure(ExitCode.LOG, "Leaves prove nothing without a checkpoint that holds.")
        size = self.signed.checkpoint.size
        books = None
        if not HOLDER_TABLES.isdisjoint(self.manifest.files):
            books = HolderBooks(self.manifest, self.pack.lines)
        count = check_leaves(
            self.pack.lines("events.jsonl"),
            self.manifest,
            self.keys,
            self.signed.checkpoint,
            _unread if books is None else books.post,
        )
        for name, detail in {} if books is None else books.finish().items():
            self.report.passed(name, detail)
        self.report.passed("log", f"{count:,} events are in the log of {size:,}")
        self.report.passed("checkpoint", f"size {size:,}, cosigned by {_names(self.signed)}")
        self.report.passed("keys", f"{self.keys.told_count} keys")
        self.report.unproven.append(_LEAVES_ONLY if books is None else _LEAVES_LEFT_OUT)
        return f"{count:,} events: bytes, form, signature, and key at its index"

    def _own_seen(self) -> list[Seen]:
        """Return every root that the auditor noted. Raises Failure (log)."""
        rule, seen = self.policy.checkpoint, list(self.policy.seen)
        # Without a pinned log the issuer's id stands for it in what was remembered.
        origins = {self.policy.issuer_id} | ({rule.origin} if rule else set())
        folder = self.options.held or self.policy.held
        if folder is not None and folder.is_dir():
            try:
                seen += held_checkpoints(folder, origins)
            except (OSError, UnicodeDecodeError):
                raise Failure(ExitCode.LOG, "The checkpoints that you hold can't be read.") from None
        return seen

    def _seen(self) -> list[Seen]:
        """Return every root that this log must lead to. Raises Failure (log)."""
        rule, seen = self.policy.checkpoint, self._own_seen()
        if rule is not None:
            for name, size in self.manifest.earlier_checkpoints.items():
                found = signed_checkpoint(self.pack.small(name), rule, quorum=0).checkpoint
                if found.size != size:
                    raise Failure(ExitCode.LOG, "It is of another size than it is named.", place=name)
                seen.append(Seen(found.size, found.root, name))
        return seen

    def _covered(self, tree: LogTree) -> str | None:
        if self.signed is None or self.policy.checkpoint is None:
            return None
        files = self.manifest.files
        proof = read_proof(self.pack.small("consistency.txt")) if "consistency.txt" in files else None
        uncovered = tree.check_covered(self.signed, proof, self.policy.checkpoint)
        behind = f"; {uncovered} events lie behind it" if uncovered else ""
        size = self.signed.checkpoint.size
        return f"size {size:,}, signed by the log, cosigned by {_names(self.signed)}{behind}"

    def _seen_before(self, tree: LogTree, seen: list[Seen]) -> str:
        return f"{tree.check_seen(seen, self.signed)} earlier roots lead to this log"

    def _vouched_for(self) -> list[int]:
        """Return the sizes of trees that the auditor noted, or that enough witnesses cosigned.

        Their roots are held against the log by the step "seen before", and must be.
        """
        sizes = [one.size for one in self._own_seen()]
        rule = self.policy.checkpoint
        if rule is None:
            return sizes
        notes = [self.pack.small(name) for name in self.manifest.earlier_checkpoints]
        if self.signed is not None and self.report.holds("checkpoint"):
            notes.append(self.pack.small("checkpoint.txt"))
        for note in notes:
            signed = signed_checkpoint(note, rule, quorum=0)
            if len(signed.witnesses) >= max(rule.quorum, 1):
                sizes.append(signed.checkpoint.size)
        return sizes

    def _keys_hold(self, covered: list[int]) -> str:
        if self.signed is not None:
            for key in self.signed.log_keys:
                self.keys.check_checkpoint(
                    key.public_key.kid, self.signed.checkpoint.size, cosigned=bool(self.signed.witnesses)
                )
        self.keys.finish(covered)
        return f"{self.keys.told_count} keys, each trusted at every index that it signed"

    def _figures(self, walk: Walk) -> None:
        pack, replay, movements = self.pack, walk.replay, walk.movements
        self._step("approvals", walk.approvals.finish)
        self._step("books", replay.check_sums)
        self._step(
            "idempotency",
            lambda: check_idempotency(pack.lines("idempotency.jsonl"), self.manifest.tree_size, walk.unasked),
        )
        self._step("journal", walk.journal.finish)
        self._step("balances", lambda: check_balances(replay, pack.lines("balances.jsonl")))
        self._step(
            "trial balance", lambda: check_trial_balance(replay, movements, pack.lines("trial_balance.jsonl"))
        )
        self._step(
            "register",
            lambda: check_register(replay, pack.lines("accounts.jsonl"), pack.lines("liabilities.jsonl")),
        )
        self._step("control totals", lambda: check_totals(replay, movements, self.manifest.control_totals))
        self._step("attestations", walk.attested)
        self._step("told", lambda: self._told(walk))
        self.report.figures = [
            {
                "token_class_id": one.id,
                "currency": one.currency,
                "deposits_confirmed": format_amount(one.deposited_minor, one.scale),
                "deposits_released": format_amount(one.released_minor, one.scale),
                "minted": format_amount(one.minted_minor, one.scale),
                "redeemed": format_amount(one.redeemed_minor, one.scale),
                "seized": format_amount(one.seized_minor, one.scale),
                "paid_out": format_amount(one.paid_out_minor, one.scale),
                "supply": format_amount(one.supply_minor, one.scale),
            }
            for one in sorted(replay.classes.values(), key=lambda one: one.currency)
        ]

    def _told(self, walk: Walk) -> str:
        """Check what is told beside the log; packs of older releases tell nothing."""
        found = []
        if POLICIES in self.manifest.files:
            found.append(check_policies(self.pack.lines(POLICIES), walk.rules))
        if RECONCILIATIONS in self.manifest.files:
            rows = self.pack.lines(RECONCILIATIONS)
            found.append(check_reconciliations(rows, self.manifest.last_index))
        return "; ".join(found) or "nothing is told beside the log"

    def _remember(self) -> None:
        folder = self.options.held or self.policy.held
        if self.options.remember and folder is not None and self.report.exit_code == ExitCode.OK:
            rule = self.policy.checkpoint
            if self.signed is not None:
                found = self.signed.checkpoint
                remember(folder, found.origin, found.size, base64_text(found.root))
            if self.manifest.kind == "issuer" and self.manifest.tree_size:
                origin = self.policy.issuer_id if rule is None else rule.origin
                remember(folder, origin, self.manifest.tree_size, self.report.pack["root"])

    def _step(self, name: str, check: Callable[[], str | None]) -> bool:
        """Make one check and write down how it ended: its detail, or None where there is nothing to add."""
        try:
            detail = check()
        except Failure as failure:
            self.report.failed(name, failure)
            return False
        if detail is not None:
            self.report.passed(name, detail)
        return True


def _unread(_event: Event | Fact) -> None:
    """Nothing is counted from leaves alone."""


def _names(signed: SignedCheckpoint) -> str:
    return ", ".join(one.name for one in signed.witnesses) or "nobody"
