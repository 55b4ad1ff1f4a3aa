"""`python -m benchmarks [--quick]`: measure, print the ratios and what they are made of, write results.json."""

import argparse
import dataclasses
import signal
import sys
from pathlib import Path

from benchmarks import reconciling
from benchmarks.figures import table, write_json
from benchmarks.run import FULL, QUICK, run

_HERE = Path(__file__).resolve().parent


def main() -> None:
    """Run the benchmark; the exit status is not zero where the oracle finds the books wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="one to two minutes: a small bank, no growth, packs or reconciling",
    )
    parser.add_argument(
        "--only", default="", help="only measurements whose name holds this; nothing is written"
    )
    parser.add_argument("--rounds", type=int, help="how often everything is measured")
    parser.add_argument("--seconds", type=float, help="how long each measurement takes")
    parser.add_argument("--growth-events", type=int, help="how long the long log is (0: no growth)")
    parser.add_argument(
        "--packs",
        type=int,
        metavar="EVENTS",
        help="evidence packs of a log of so many events, and nothing else (0: everything else)",
    )
    parser.add_argument(
        "--reconciled-events", type=int, help="how many are held against the bank (0: not measured)"
    )
    parser.add_argument(
        "--reconciling",
        action="store_true",
        help="only that: a million, or --reconciled-events; nothing is written",
    )
    parser.add_argument(
        "--state-directory", type=Path, default=_HERE.parent / "var", help="on the disk to be measured"
    )
    options = parser.parse_args()
    if options.reconciling:
        reconciling.main(options.reconciled_events or 1_000_000)
        return
    plan = QUICK if options.quick else FULL
    changes = {
        name: getattr(options, name) for name in ("rounds", "seconds") if getattr(options, name) is not None
    }
    if options.growth_events is not None:
        changes["growth_events"] = options.growth_events or None
    if options.packs is not None:
        changes |= {"pack_events": options.packs or None, "packs_only": options.packs > 0}
    if options.reconciled_events is not None:
        changes["reconciled_events"] = options.reconciled_events or None
    plan = dataclasses.replace(plan, only=options.only, **changes)
    # Stopped by anyone, it still ends its processes and removes its files.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    found = run(plan, options.state_directory)
    print(table(found))
    if not options.only and not options.packs:
        write_json(_HERE / "results.json", found)


if __name__ == "__main__":
    main()
