"""What limits have counted, counted again: every payment and mint by the version of the rules that its event names.

An account's holder, and the countries of a holder, never change, so that who the parties were is known still. Memory
grows with the number of those that are counted for, and not with that of events.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from sqlalchemy import Connection

from tallystick import policy
from tallystick.core.clock import parse_time
from tallystick.core.money import parse_amount
from tallystick.integrity import store
from tallystick.integrity.records import NO_ROW, ROW, WHOLE_ROW, Finding
from tallystick.policy import Usage, hour_of, stored
from tallystick.tokens import EVENT_TYPES, Kind

__all__ = ["limit_usage"]

_COUNTED: Final = {EVENT_TYPES[kind]: str(kind) for kind in (Kind.MINT, Kind.TRANSFER, Kind.HOLD)}


def limit_usage(connection: Connection, issuer_id: str) -> Iterator[Finding]:
    """Yield each row that counts something else than the log, is missing, or is one too many."""
    expected = _counted(connection, issuer_id)
    for key, hour, buckets, total_minor in store.usage_rows(connection, issuer_id):
        usage = expected.pop(key, None)
        if usage is None:
            yield Finding("limit_usage", key, WHOLE_ROW, NO_ROW, ROW)
            continue
        for column, wanted, found in (
            ("hour", usage.hour, hour),
            ("buckets", [stored(one) for one in usage.buckets], list(buckets)),
            ("total_minor", stored(usage.total_minor), total_minor),
        ):
            if wanted != found:
                yield Finding("limit_usage", key, column, str(wanted), str(found))
    for key in sorted(expected):
        yield Finding("limit_usage", key, WHOLE_ROW, ROW, NO_ROW)


def _counted(connection: Connection, issuer_id: str) -> dict[str, Usage]:
    found: dict[str, Usage] = {}
    rules = policy.every_version(connection, issuer_id)
    if not any(one.counts_usage for one in rules.values()):
        return found
    parties = store.parties(connection, issuer_id)
    for _, payload in store.payloads(connection, issuer_id, sorted(_COUNTED)):
        of = rules.get(payload.get("policy", ""))
        if of is None or not of.counts_usage:
            continue
        asked = _asked(payload, parties)
        hour = hour_of(parse_time(payload["booked_at"]))
        for key in of.counted_for(asked):
            before = found.get(key) or Usage.none(hour)
            usage = Usage.as_of(hour, before.hour, before.buckets, before.total_minor)
            usage.buckets[-1] += asked.amount_minor
            usage.total_minor += asked.amount_minor
            found[key] = usage
    return found


def _asked(payload: Mapping[str, Any], parties: Mapping[str, policy.Party]) -> policy.Facts:
    """Return an instruction as far as it matters for whom it is counted: how things stood then does not."""
    return policy.Facts(
        kind=_COUNTED[payload["type"]],
        of_class=policy.ClassFacts(
            payload["token_class_id"], "normal", payload["currency"], payload["scale"]
        ),
        payer=parties.get(payload.get("payer_account_id", "")),
        payee=parties.get(payload.get("payee_account_id", "")),
        purpose=payload.get("purpose"),
        principal_id=payload["principal_id"],
        today=parse_time(payload["booked_at"]).date(),
        amount_minor=parse_amount(payload["amount"], payload["scale"]),
    )
