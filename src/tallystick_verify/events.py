"""The signed event: which members it has, of which form, for which type. Whatever isn't known here is refused."""

import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cache
from operator import attrgetter
from typing import Any, Final, NamedTuple

from tallystick_verify.canonical import JsonRefusedError, parse_canonical
from tallystick_verify.chart import CHART, CONTROL_CODE, EVENT_KINDS, WRITE_OFFS, WRITTEN_OFF_TYPE, EventKind
from tallystick_verify.facts import FACT_TYPES, SUFFIX, TEXTS, Fact, check_hashes, check_texts, odd, read_fact
from tallystick_verify.failures import ExitCode, Failure

__all__ = ["Event", "Line", "format_amount", "minor_units", "read_event"]

_VERSION: Final = 1
_AMOUNT_MINOR_MAX: Final = 2**63 - 1
_PATTERNS: Final = TEXTS | {
    name: re.compile(pattern, re.ASCII)
    for name, pattern in {
        "cause": r"(?:entry|first_opening|movement|statement_opening|sum):[!-~]{1,200}",
        "currency": r"[A-Z]{3}",
        "payee_account_id": rf"account_{SUFFIX}",
        "payer_account_id": rf"account_{SUFFIX}",
        "policy": r"[A-Za-z0-9_./-]{1,100}",
        "purpose": r"[!-~]{1,35}",
        "related_id": r"[!-~]{1,200}",
        "value_date": r"[0-9]{4}-[0-9]{2}-[0-9]{2}",
    }.items()
}
_LEDGER_ACCOUNT: Final = re.compile(rf"([0-9]{{4}})\.(?:account|class)_{SUFFIX}", re.ASCII)
_ALWAYS: Final = frozenset(
    {
        "amount",
        "approvals",
        "booked_at",
        "currency",
        "id",
        "index",
        "instruction_id",
        "issuer_id",
        "lines",
        "principal_id",
        "request_hash",
        "scale",
        "token_class_id",
        "type",
        "value_date",
        "version",
    }
)
#: What a write-off's entry says beside: what was asked for, of which break, and the cause that it makes up for.
_WRITE_OFF: Final = _ALWAYS | {"cause", "operation", "payload_hash", "subject_id"}
_BREAK_ID: Final = re.compile(rf"break_{SUFFIX}", re.ASCII)


class Line(NamedTuple):
    """One debit or credit, in minor units."""

    account: str
    code: str
    debit_minor: int
    credit_minor: int


@dataclass(slots=True)
class Event:
    """A signed fact about money or an account, its form checked. `amount` is the text, `amount_minor` its value."""

    index: int
    id: str
    type: str
    kind: EventKind
    issuer_id: str
    instruction_id: str
    principal_id: str
    token_class_id: str
    currency: str
    scale: int
    amount: str
    amount_minor: int
    lines: tuple[Line, ...]
    payer: str | None
    payee: str | None
    related: str | None
    request_hash: str
    approvals: tuple[str, ...]
    booked_at: str
    value_date: str
    original_value_date: str | None
    policy: str | None = None

    def __reduce__(self) -> tuple[Callable[..., "Event"], tuple[Any, ...]]:
        """Hand it from process to process as its members alone, which takes a third of the time."""
        return Event, _members_of(self)


_members_of: Final = attrgetter(*(one.name for one in fields(Event)))


def read_event(payload: bytes) -> Event | Fact:
    """Return what was signed. Raises Failure (unsupported) for all that is not known."""
    try:
        found = parse_canonical(payload)
    except JsonRefusedError as error:
        raise Failure(
            ExitCode.UNSUPPORTED, f"What was signed is no event of this version: {error}."
        ) from None
    if not isinstance(found, dict):
        raise Failure(ExitCode.UNSUPPORTED, "What was signed is no JSON object.")
    event_type = found.get("type")
    if type(found.get("version")) is not int or found["version"] != _VERSION:
        raise Failure(ExitCode.UNSUPPORTED, "The event is of a version that is not known here.")
    posts_write_off = event_type == WRITTEN_OFF_TYPE and "lines" in found
    if isinstance(event_type, str) and event_type in FACT_TYPES and not posts_write_off:
        return read_fact(found)
    kind = EVENT_KINDS.get(event_type) if isinstance(event_type, str) else None
    if posts_write_off:
        kind = _write_off(found)
    if kind is None:
        raise Failure(ExitCode.UNSUPPORTED, "The event is of a type that is not known here.")
    _check_members(found, kind)
    scale = found["scale"]
    return Event(
        found["index"],
        found["id"],
        found["type"],
        kind,
        found["issuer_id"],
        found["instruction_id"],
        found["principal_id"],
        found["token_class_id"],
        found["currency"],
        scale,
        found["amount"],
        minor_units(found["amount"], scale),
        tuple([_line(one, scale) for one in found["lines"]]),
        found.get("payer_account_id"),
        found.get("payee_account_id"),
        found.get("related_id"),
        found["request_hash"],
        tuple(found["approvals"]),
        found["booked_at"],
        found["value_date"],
        found.get("original_value_date"),
        found.get("policy"),
    )


def minor_units(text: Any, scale: int) -> int:
    """Return the minor units of a decimal string with exactly `scale` decimals; raises Failure (unsupported)."""
    if not isinstance(text, str) or _amount_pattern(scale).fullmatch(text) is None:
        raise Failure(ExitCode.UNSUPPORTED, f"An amount is no decimal string with {scale} decimals.")
    minor = int(text.replace(".", ""))
    if minor > _AMOUNT_MINOR_MAX:
        raise Failure(ExitCode.UNSUPPORTED, "An amount is larger than any account can hold.")
    return minor


def format_amount(minor: int, scale: int) -> str:
    """Return minor units as a decimal string with exactly `scale` decimals."""
    if minor < 0:
        return "-" + format_amount(-minor, scale)
    if scale == 0:
        return str(minor)
    digits = str(minor).rjust(scale + 1, "0")
    return f"{digits[:-scale]}.{digits[-scale:]}"


@cache
def _amount_pattern(scale: int) -> re.Pattern[str]:
    fraction = rf"\.[0-9]{{{scale}}}" if scale else ""
    return re.compile(rf"(?:0|[1-9][0-9]{{0,18}}){fraction}", re.ASCII)


def _write_off(found: dict[str, Any]) -> EventKind:
    """Return what a write-off's entry must look like: by the side of the control account that it stands on."""
    loss, made_good = WRITE_OFFS
    if found.keys() != _WRITE_OFF:
        raise Failure(ExitCode.UNSUPPORTED, f"A {WRITTEN_OFF_TYPE} event has other members than expected.")
    if found["operation"] != loss.operation or not _is_text(found["subject_id"], _BREAK_ID):
        raise odd("operation or subject_id")
    match found["lines"]:
        case [{"account": str(account), "debit": _}, _] if account.startswith(f"{CONTROL_CODE}."):
            return made_good
    return loss


def _is_text(found: Any, pattern: re.Pattern[str]) -> bool:
    return isinstance(found, str) and pattern.fullmatch(found) is not None


@cache
def _members(kind: EventKind) -> tuple[frozenset[str], frozenset[str]]:
    """Return the members that an event of a kind must have, and those that it may have."""
    if kind in WRITE_OFFS:
        return _WRITE_OFF, _WRITE_OFF
    required = set(_ALWAYS)
    required |= {"payer_account_id"} if kind.payer else set()
    required |= {"payee_account_id"} if kind.payee else set()
    required |= {"related_id"} if kind.related == "always" else set()
    # What the rules decided by, what a payment is for, and the date that it came too late for, where there is any.
    allowed = (
        required
        | {"original_value_date", "policy", "purpose"}
        | ({"related_id"} if kind.related == "sometimes" else set())
    )
    return frozenset(required), frozenset(allowed)


def _check_members(found: dict[str, Any], kind: EventKind) -> None:
    required, allowed = _members(kind)
    if not required <= found.keys() <= allowed:
        differing = sorted((required - found.keys()) | (found.keys() - allowed))
        raise Failure(
            ExitCode.UNSUPPORTED,
            f"A {found['type']} event has other members than expected: {', '.join(differing)}.",
        )
    _check_texts(found)
    check_hashes(found["approvals"])
    scale = found["scale"]
    if type(scale) is not int or not 0 <= scale <= 9:
        raise odd("scale")
    if not isinstance(found["lines"], list):
        raise odd("lines")
    if found["instruction_id"].rpartition("_")[0] != kind.prefix:
        raise odd("instruction_id")


def _check_texts(found: dict[str, Any]) -> None:
    check_texts(found, _PATTERNS)
    if found["id"][-26:] != found["instruction_id"][-26:]:
        raise odd("id")


def _line(found: Any, scale: int) -> Line:
    if not isinstance(found, dict) or found.keys() not in ({"account", "debit"}, {"account", "credit"}):
        raise odd("lines")
    account = found["account"]
    match = _LEDGER_ACCOUNT.fullmatch(account) if isinstance(account, str) else None
    if match is None or match[1] not in CHART:
        raise odd("lines")
    debit_minor = minor_units(found["debit"], scale) if "debit" in found else 0
    credit_minor = minor_units(found["credit"], scale) if "credit" in found else 0
    return Line(account, match[1], debit_minor, credit_minor)
