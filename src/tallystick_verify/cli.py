"""The command `tallystick-verify`: a report on standard output, progress on standard error, one exit code per class.

What scripts can rely on: the exit codes of `failures.ExitCode`, and one JSON document on standard output with --json.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NoReturn, TextIO

from tallystick_verify import books, liability_proofs
from tallystick_verify.failures import ExitCode, Failure
from tallystick_verify.holders import check_receipt
from tallystick_verify.policy_file import Policy, PolicyFileError, read_policy
from tallystick_verify.report import Report
from tallystick_verify.verifying import Options, verify_pack

__all__ = ["main"]

_EXIT_CODES: Final = """\
exit codes, the most fundamental of what was found:
   0  everything that was checked holds
   2  wrong options, or a policy file that can't be understood
  10  pack: a file, its hash or its form is damaged
  11  signature: not the key's over these bytes
  12  key: unknown, revoked, or signed where it might not
  13  log: order, gaps, checkpoint, quorum, or not what was seen before
  14  approvals: too few people, the same person, another request
  15  books: balance, floor, double use, the mint rule
  16  figures: not what the signed events lead to
  17  unsupported: something that this version does not know
  18  the verifier itself failed; nothing is verified
"""
_HELPERS_MAX: Final = 4
_EPILOG: Final = f"""\
One file instead of a pack:
  tallystick-verify liability-proof FILE --policy FILE   what a holder was given of an attestation
  tallystick-verify books FILE --policy FILE             figures that the bank signed on request

{_EXIT_CODES}"""
#: A word in the pack's place. (A pack of that name: ./books.)
_FILES: Final[dict[str, tuple[str, Callable[[bytes, Policy], Report], int]]] = {
    "books": (
        "Verify figures of the books that the bank signed, offline.",
        books.verify_books,
        books.SIZE_MAX_BYTES,
    ),
    "liability-proof": (
        "Verify offline that a claim is counted in a total that the bank attested.",
        liability_proofs.verify_liability_proof,
        liability_proofs.SIZE_MAX_BYTES,
    ),
}
_BAR_WIDTH: Final = 30
_RECEIPT_SIZE_MAX_BYTES: Final = 2_097_152


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and leave with its exit code."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code; never raises but for wrong options (SystemExit 2)."""
    if arguments and arguments[0] in _FILES:
        return _file(arguments[0], arguments[1:])
    asked = _parser().parse_args(arguments)
    try:
        policy = read_policy(asked.policy)
    except PolicyFileError as error:
        _tell(sys.stderr, f"policy: {error}\n")
        return ExitCode.USAGE
    try:
        if asked.event is not None:
            return _receipt(asked, policy)
        return _pack(asked, policy)
    except Exception as error:  # noqa: BLE001 An unknown fault must not look like a verdict.
        _tell(sys.stderr, f"internal: {type(error).__name__}: {error}\nNOTHING IS VERIFIED.\n")
        return ExitCode.INTERNAL


def _pack(asked: argparse.Namespace, policy: Policy) -> int:
    if asked.remember and asked.held is None:
        asked.held = policy.held
    if asked.remember and asked.held is None:
        _tell(sys.stderr, "--remember needs --held, or `held` in the policy file.\n")
        return ExitCode.USAGE
    options = Options(asked.allow_no_checkpoint, asked.held, asked.remember, asked.helpers)
    bar = _Bar()
    report = verify_pack(asked.pack, policy, options, bar.show)
    bar.end()
    return _end(report, as_json=asked.json)


def _file(name: str, arguments: Sequence[str]) -> int:
    """Check one file of a kind; its report, and how the command ends, are as a pack's."""
    description, verify, size_max_bytes = _FILES[name]
    parser = argparse.ArgumentParser(
        prog=f"tallystick-verify {name}",
        description=description,
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=Path, help="what the service answered, as a file")
    parser.add_argument("--policy", type=Path, required=True, help="your own policy file (.toml or .json)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    asked = parser.parse_args(arguments)
    try:
        policy = read_policy(asked.policy)
        with asked.file.open("rb") as file:
            octets = file.read(size_max_bytes + 1)
    except PolicyFileError as error:
        _tell(sys.stderr, f"policy: {error}\n")
        return ExitCode.USAGE
    except OSError as error:
        _tell(sys.stderr, f"{error.filename}: {error.strerror}\n")
        return ExitCode.USAGE
    try:
        return _end(verify(octets, policy), as_json=asked.json)
    except Exception as error:  # noqa: BLE001 An unknown fault must not look like a verdict.
        _tell(sys.stderr, f"internal: {type(error).__name__}: {error}\nNOTHING IS VERIFIED.\n")
        return ExitCode.INTERNAL


def _receipt(asked: argparse.Namespace, policy: Policy) -> int:
    """Check one event's receipt; the pack's place is taken by the receipt's file."""
    report = Report(checks={})
    try:
        leaf = asked.event.read_bytes()[:_RECEIPT_SIZE_MAX_BYTES].strip()
        event, size, witnesses = check_receipt(
            asked.pack.read_bytes()[:_RECEIPT_SIZE_MAX_BYTES], leaf, policy
        )
        report.pack = {
            "issuer_id": event.issuer_id,
            "event_id": event.id,
            "index": event.index,
            "log_size": size,
            "witnesses": ", ".join(witnesses) or "none",
        }
    except OSError as error:
        _tell(sys.stderr, f"{error.filename}: {error.strerror}\n")
        return ExitCode.USAGE
    except Failure as failure:
        report.findings.append(failure)
    return _end(report, as_json=asked.json)


def _end(report: Report, *, as_json: bool) -> int:
    document = json.dumps(report.document(), indent=2, ensure_ascii=False) + "\n"
    _tell(sys.stdout, document if as_json else report.text())
    return report.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tallystick-verify",
        description="Verify an evidence pack offline, trusting nothing but the keys in your own policy file.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("pack", type=Path, help="the pack: a folder or a .zip; with --event, a receipt")
    parser.add_argument("--policy", type=Path, required=True, help="your own policy file (.toml or .json)")
    parser.add_argument("--held", type=Path, metavar="FOLDER", help="checkpoints that you hold from before")
    parser.add_argument(
        "--remember", action="store_true", help="once all holds, add what was seen to that folder"
    )
    parser.add_argument(
        "--allow-no-checkpoint",
        action="store_true",
        help="take a pack that no checkpoint vouches for; the report says what that leaves unproven",
    )
    parser.add_argument(
        "--event", type=Path, metavar="JWS", help="check a receipt (tlog-proof) of the event in this file"
    )
    parser.add_argument(
        "--helpers",
        type=int,
        default=_helpers(),
        metavar="N",
        help="processes that read events and verify signatures beside this one; as many as processors, unless given",
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    return parser


def _helpers() -> int:
    """Return how many processes help: this one has a quarter of the work, and leaves a processor to them meanwhile."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return 0 if processors == 1 else min(_HELPERS_MAX, processors)


class _Bar:
    """A progress bar on standard error, where that is a terminal."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()
        self._last = ""

    def show(self, what: str, done: int, total: int) -> None:
        """Show how far it is, if that has changed."""
        if not self._shown:
            return
        share = done / total if total else 1.0
        filled = int(share * _BAR_WIDTH)
        line = f"\r{what:<10} [{'#' * filled}{'.' * (_BAR_WIDTH - filled)}] {share:6.1%}"
        if line != self._last:
            self._last = line
            _tell(sys.stderr, line)

    def end(self) -> None:
        """Clear the line."""
        if self._last:
            _tell(sys.stderr, "\r" + " " * (len(self._last) - 1) + "\r")


def _tell(stream: TextIO, text: str) -> None:
    """Write text; what the terminal has no character for is escaped, and never ends the report."""
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()
