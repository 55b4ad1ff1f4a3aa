"""What signed facts hold within a member: figures of a business date, an attestation of a run, a key.

Each has the members that are known here, of the form that is known here, and no others; what they mean is judged where
they are replayed. So whatever reads a fact behind this finds texts where it looks for texts.
"""

import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Final, TypeAlias

from tallystick_verify.failures import ExitCode, Failure

__all__ = ["check_nested"]

_Form: TypeAlias = Callable[[Any], bool]
_Forms: TypeAlias = Mapping[str, _Form]

_INDEX_LEAST: Final = -1
_SCALE_MAX: Final = 9


def _text(pattern: str) -> _Form:
    compiled = re.compile(pattern, re.ASCII)
    return lambda value: isinstance(value, str) and compiled.fullmatch(value) is not None


def _or_none(form: _Form) -> _Form:
    return lambda value: value is None or form(value)


def _each(form: _Form) -> _Form:
    return lambda value: isinstance(value, list) and all(form(one) for one in value)


def _object(forms: _Forms) -> _Form:
    return lambda value: (
        isinstance(value, dict)
        and value.keys() == forms.keys()
        and all(forms[name](value[name]) for name in forms)
    )


def _counted(value: Any) -> bool:
    return type(value) is int and value >= 0


def _index(value: Any) -> bool:
    return type(value) is int and value >= _INDEX_LEAST


def _scale(value: Any) -> bool:
    return type(value) is int and 0 <= value <= _SCALE_MAX


def _day(value: Any) -> bool:
    try:
        return _DAY(value) and date.fromisoformat(value) is not None
    except ValueError:
        return False


def _breaks(value: Any) -> bool:
    return isinstance(value, dict) and all(_WORD(name) and _BREAKS(one) for name, one in value.items())


_DAY: Final = _text(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_AMOUNT: Final = _text(r"-?[0-9.]{1,40}")
_CURRENCY: Final = _text(r"[A-Z]{3}")
_HASH: Final = _text(r"[0-9a-f]{64}")
_ID: Final = _text(r"[a-z_]{1,40}_[0-7][0-9a-hjkmnp-tv-z]{25}")
_MOMENT: Final = _text(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")
_PRINTABLE: Final = _text(r"[!-~]{1,200}")
_VERDICT: Final = _text(r"tied|broken")
_WORD: Final = _text(r"[a-z_]{1,64}")
_BREAKS: Final = _object({"count": _counted, "difference": _AMOUNT})

_PERIOD: Final = {"period_from": _day, "period_until": _day}
_CLASS: Final = {
    "accepted_break_ids": _each(_ID),
    "bank_balance": _or_none(_AMOUNT),
    "credits": _AMOUNT,
    "currency": _CURRENCY,
    "debits": _AMOUNT,
    "line_count": _counted,
    "reconciliation_id": _ID,
    "scale": _scale,
    "supply": _AMOUNT,
    "token_class_id": _ID,
    "verdict": _VERDICT,
}
_CLOSE: Final = _PERIOD | {
    "classes": _each(_object(_CLASS)),
    "hand_off_id": _ID,
    "hand_off_index": _index,
    "hand_off_sha256": _HASH,
}
_ATTESTED: Final = {
    "backing": _WORD,
    "bank_as_of": _or_none(_day),
    "bank_balance": _or_none(_AMOUNT),
    "breaks": _breaks,
    "control_account": _AMOUNT,
    "currency": _CURRENCY,
    "deposits_available": _AMOUNT,
    "holder_balances": _AMOUNT,
    "ledger_as_of": _MOMENT,
    "ledger_index": _index,
    "liability_register": _AMOUNT,
    "payments_in_transit": _AMOUNT,
    "scale": _scale,
    "statement_id": _or_none(_ID),
    "supply": _AMOUNT,
    "timing": _or_none(_AMOUNT),
    "trial_balance": _AMOUNT,
    "verdict": _VERDICT,
}
#: What later releases say further: the root over all liabilities, and how much of the log was verified.
_ATTESTED_FURTHER: Final = {
    "liability_attestation_id": _or_none(_ID),
    "liability_root": _AMOUNT,
    "log_root_hash": _HASH,
    "verified_size": _or_none(_text(r"0|[1-9][0-9]{0,15}")),
}
_ENDED: Final = {"kid": _PRINTABLE, "use": _WORD}
_ACTIVATED: Final = _ENDED | {"manifest_sha256": _HASH, "manifest_version": _counted, "x": _PRINTABLE}

#: By a member's name and the event's type: the forms that it may have.
_KNOWN: Final[dict[tuple[str, str], tuple[_Forms, ...]]] = {
    ("attestation", "reconciliation.attested"): (_ATTESTED, _ATTESTED | _ATTESTED_FURTHER),
    ("figures", "business_date.closed"): (_CLOSE,),
    ("figures", "business_date.reopened"): (_PERIOD,),
    ("key", "signing_key.activated"): (_ACTIVATED, _ACTIVATED | {"replaces": _PRINTABLE}),
    ("key", "signing_key.retired"): (_ENDED,),
    ("key", "signing_key.revoked"): (_ENDED, _ENDED | {"compromised_from_index": _counted}),
}
_NAMES: Final = frozenset(name for name, _ in _KNOWN)


def check_nested(found: Mapping[str, Any]) -> None:
    """Check every member of a fact that has members of its own. Raises Failure (unsupported)."""
    for name in _NAMES & found.keys():
        _check(found[name], _KNOWN.get((name, found["type"]), ()), f"{name} of a {found['type']} event")


def _check(found: Any, known: tuple[_Forms, ...], what: str) -> None:
    forms = next((one for one in known if isinstance(found, dict) and one.keys() == found.keys()), None)
    if forms is None:
        raise Failure(
            ExitCode.UNSUPPORTED,
            f"The {what} is not of the form that is known here: it has other members than are known here.",
        )
    for name, form in forms.items():
        if not form(found[name]):
            raise Failure(
                ExitCode.UNSUPPORTED, f"The {name} in the {what} is not of the form that is known here."
            )
