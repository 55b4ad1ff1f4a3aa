"""ISO 20022 pain.002.001.10 and pacs.002.001.10, payment status reports: what the bank says of a file and its payments.

A customer is answered by pain.002, which also tells of the file's batch, and a bank by pacs.002, which does not. Read
by the parser of statements, with its guards: no document type, bounded size, depth and memory. Pure.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from tallystick.core.errors import MalformedError
from tallystick.statements import Children, guard_xml, read_root_tag, stream_levels

__all__ = ["ParsedStatus", "ParsedTransaction", "PayoutStatusMalformedError", "parse_status"]

_NAMESPACE_PREFIX: Final = "urn:iso:std:iso:20022:tech:xsd:"
_VERSIONS: Final = tuple(f"{number:02}" for number in range(3, 13))
#: By message: the report's own element, and what it tells of one inside the other.
_CHAINS: Final = {
    "pain.002.001": ("CstmrPmtStsRpt", "OrgnlPmtInfAndSts", "TxInfAndSts"),
    "pacs.002.001": ("FIToFIPmtStsRpt", "TxInfAndSts"),
}
_TEXT_LENGTH_MAX: Final = 140
_REASON_LENGTH_MAX: Final = 500
_TRANSACTIONS_MAX: Final = 10_000


class PayoutStatusMalformedError(MalformedError):
    """Not a payment status report (pain.002, pacs.002), or one that does not tell of exactly one file."""

    code = "payout_status_malformed"
    title = "Not a payment status report that can be read"


class ParsedTransaction(NamedTuple):
    """What is said of one payment; `status` None is the batch's or the file's."""

    instruction_id: str | None
    end_to_end_id: str | None
    uetr: str | None
    status: str | None
    reason_code: str | None
    reason: str | None


class ParsedStatus(NamedTuple):
    """A report: of which message, and its status as a whole, if it has one."""

    message_id: str
    created_at: str | None
    original_message_id: str
    status: str | None
    reason_code: str | None
    reason: str | None
    transactions: tuple[ParsedTransaction, ...]


def parse_status(content: bytes, *, size_max_bytes: int) -> ParsedStatus:
    """Return what a report says.

    Raises PayoutStatusMalformedError, and the refusals of `statements` for what is no safe XML.
    """
    document = guard_xml(content, size_max_bytes=size_max_bytes)
    namespace, _, name = read_root_tag(document).partition("}")
    namespace = namespace.removeprefix("{")
    message, _, version = namespace.removeprefix(_NAMESPACE_PREFIX).rpartition(".")
    chain = _CHAINS.get(message)
    if name != "Document" or not namespace.startswith(_NAMESPACE_PREFIX) or chain is None:
        raise PayoutStatusMalformedError("The root is no Document of pain.002 or pacs.002.")
    if version not in _VERSIONS:
        raise PayoutStatusMalformedError(f"Version {version[:10]} of {message} is not known.")
    transactions: list[ParsedTransaction] = []
    of_batches: list[ParsedTransaction] = []
    originals: set[str] = set()
    report: Children | None = None
    for closed in stream_levels(document, namespace=namespace, chain=chain):
        if closed.level == len(chain) - 1:
            transactions.append(_transaction(closed.children))
            originals.update(_texts(_within(closed.children, "OrgnlGrpInf"), "OrgnlMsgId"))
            if len(transactions) > _TRANSACTIONS_MAX:
                raise PayoutStatusMalformedError(f"It tells of more than {_TRANSACTIONS_MAX} payments.")
        elif closed.level:
            of_batches.append(_of_batch(closed.children))
        elif report is not None:
            raise PayoutStatusMalformedError("The document holds more than one report.")
        else:
            report = closed.children
    if report is None:
        raise PayoutStatusMalformedError(f"The document holds no {chain[0]}.")
    return _whole(report, of_batches, tuple(transactions), originals)


def _whole(
    report: Children,
    of_batches: list[ParsedTransaction],
    transactions: tuple[ParsedTransaction, ...],
    named: set[str],
) -> ParsedStatus:
    message_id = _text(report, "GrpHdr", "MsgId")
    groups = [node.children or {} for node in report.get("OrgnlGrpInfAndSts", ())]
    # A bank's answer may name the message with each payment alone.
    originals = named.union(*(_texts(one, "OrgnlMsgId") for one in groups))
    if message_id is None or not originals:
        raise PayoutStatusMalformedError("It lacks GrpHdr/MsgId or OrgnlGrpInfAndSts/OrgnlMsgId.")
    if len(originals) > 1 or len(groups) > 1:
        raise PayoutStatusMalformedError("It tells of more than one message.")
    group = _within(report, "OrgnlGrpInfAndSts")
    status, (code, reason) = _text(group, "GrpSts"), _reason(group)
    told = [one for one in of_batches if one.status is not None]
    if len({one.status for one in told}) == 1:
        # A file of ours has one batch, so that what is said of it is said of all its payments.
        status, code, reason = told[0].status, told[0].reason_code or code, told[0].reason or reason
    return ParsedStatus(
        message_id, _text(report, "GrpHdr", "CreDtTm"), originals.pop(), status, code, reason, transactions
    )


def _of_batch(children: Children) -> ParsedTransaction:
    return ParsedTransaction(None, None, None, _text(children, "PmtInfSts"), *_reason(children))


def _transaction(children: Children) -> ParsedTransaction:
    return ParsedTransaction(
        _text(children, "OrgnlInstrId"),
        _text(children, "OrgnlEndToEndId"),
        _text(children, "OrgnlUETR"),
        _text(children, "TxSts"),
        *_reason(children),
    )


def _reason(children: Children) -> tuple[str | None, str | None]:
    """Return the first reason's code, or the bank's own word for it, and all that is said in addition."""
    code: str | None = None
    words: list[str] = []
    for node in children.get("StsRsnInf", ()):
        told = node.children or {}
        code = code or _text(told, "Rsn", "Cd") or _text(told, "Rsn", "Prtry")
        words += _texts(told, "AddtlInf")
    return code, (" ".join(words)[:_REASON_LENGTH_MAX] or None)


def _within(children: Children, name: str) -> Children:
    nodes = children.get(name)
    return (nodes[0].children if nodes else None) or {}


def _text(children: Children, *path: str) -> str | None:
    for name in path[:-1]:
        children = _within(children, name)
    return next(_texts(children, path[-1]), None)


def _texts(children: Children, name: str) -> Iterator[str]:
    for node in children.get(name, ()):
        text = (node.text or "").strip()
        if len(text) > _TEXT_LENGTH_MAX:
            raise PayoutStatusMalformedError(f"{name} is longer than any bank's.")
        if text:
            yield text
