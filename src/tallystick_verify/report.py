"""What was checked, what was found, and what stays unproven: for people, or as one JSON document."""

from dataclasses import dataclass, field
from typing import Any, Final

from tallystick_verify.failures import ExitCode, Failure

__all__ = ["CHECKS", "Check", "Report"]

#: Every check by name, in the order of the report.
CHECKS: Final = (
    "files",
    "manifest",
    "root",
    "keys",
    "events",
    "log",
    "checkpoint",
    "seen before",
    "approvals",
    "books",
    "idempotency",
    "journal",
    "balances",
    "trial balance",
    "register",
    "control totals",
    "told",
    "attestations",
)
_FINDINGS_MAX: Final = 100
_SYMBOLS: Final = {"passed": "ok", "failed": "FAILED", "skipped": "--"}


@dataclass(slots=True)
class Check:
    """One check: `passed`, `failed`, or `skipped` for one that was not made or not finished."""

    state: str = "skipped"
    detail: str = "not checked"


@dataclass(slots=True)
class Report:
    """The result. Its exit code is the class of the most fundamental finding."""

    pack: dict[str, Any] = field(default_factory=dict)
    checks: dict[str, Check] = field(default_factory=lambda: {name: Check() for name in CHECKS})
    findings: list[Failure] = field(default_factory=list)
    findings_left_out: int = 0
    figures: list[dict[str, Any]] = field(default_factory=list)
    unproven: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> ExitCode:
        """Return 0, or the lowest code among the findings."""
        return min((one.exit_code for one in self.findings), default=ExitCode.OK)

    @property
    def full(self) -> bool:
        """Tell whether there are so many findings that more would tell nothing."""
        return len(self.findings) >= _FINDINGS_MAX

    def holds(self, name: str) -> bool:
        """Tell whether a check has passed so far."""
        return self.checks[name].state == "passed"

    def passed(self, name: str, detail: str) -> None:
        """A check holds; one that has failed before stays failed."""
        if self.checks[name].state != "failed":
            self.checks[name] = Check("passed", detail)

    def skipped(self, name: str, detail: str) -> None:
        """A check was left out, and why."""
        self.checks[name] = Check("skipped", detail)

    def failed(self, name: str, failure: Failure) -> None:
        """A check does not hold."""
        self.checks[name] = Check("failed", failure.message)
        if self.full:
            self.findings_left_out += 1
        else:
            self.findings.append(failure)

    def document(self) -> dict[str, Any]:
        """Return the report as JSON."""
        return {
            "verdict": "verified" if self.exit_code == ExitCode.OK else "failed",
            "exit_code": int(self.exit_code),
            "class": self.exit_code.name.lower(),
            "pack": self.pack,
            "checks": [
                {"name": name, "state": one.state, "detail": one.detail} for name, one in self.checks.items()
            ],
            "findings": [
                {
                    "class": one.exit_code.name.lower(),
                    "exit_code": int(one.exit_code),
                    "place": one.place,
                    "message": one.message,
                }
                for one in self.findings
            ],
            "findings_left_out": self.findings_left_out,
            "figures": self.figures,
            "unproven": self.unproven,
        }

    def text(self) -> str:
        """Return the report for people."""
        lines = [f"{name.replace('_', ' ')}: {value}" for name, value in self.pack.items()]
        lines.append("")
        for name, check in self.checks.items():
            lines.append(f"  {_SYMBOLS[check.state]:<7} {name:<15} {check.detail}")
        for total in self.figures:
            lines += ["", f"  {total['currency']} ({total['token_class_id']})"]
            lines += [
                f"    {name.replace('_', ' '):<20} {total[name]:>24}"
                for name in (
                    "deposits_confirmed",
                    "deposits_released",
                    "minted",
                    "redeemed",
                    "seized",
                    "paid_out",
                    "supply",
                )
            ]
        if self.findings:
            lines += ["", "Found:"]
            lines += [
                f"  [{int(one.exit_code)} {one.exit_code.name.lower()}] "
                f"{one.place + ': ' if one.place else ''}{one.message}"
                for one in self.findings
            ]
        if self.findings_left_out:
            lines.append(f"  … and {self.findings_left_out} more")
        if self.unproven:
            lines += ["", "NOT PROVEN by this:"]
            lines += [f"  ! {one}" for one in self.unproven]
        code = self.exit_code
        verdict = (
            "VERIFIED" if code == ExitCode.OK else f"FAILED ({code.name.lower()}, exit code {int(code)})"
        )
        return "\n".join([*lines, "", verdict, ""])
