"""ISO 20022 camt.052 (report), camt.053 (statement) and camt.054 (notification), versions 02 to 12.

The shape of a message is the same in all three; what differs between versions is told here, from the schemas that
ISO 20022 publishes.
"""

import re
from dataclasses import dataclass
from typing import Final

from tallystick.statements.refusals import StatementNamespaceUnknownError, StatementTypeUnsupportedError

__all__ = ["CamtShape", "shape_of_root"]

_ROOT: Final = re.compile(
    r"\{(urn:iso:std:iso:20022:tech:xsd:([a-z]{4}\.[0-9]{3})\.[0-9]{3}\.([0-9]{2}))\}Document"
)
_VERSION_FIRST: Final = 2
_VERSION_LAST: Final = 12


@dataclass(frozen=True, slots=True)
class CamtShape:
    """Where one version of one message keeps things.

    `names` is the chain of repeating elements from the message to the transaction detail. The flags say since when
    an element moved: `bic_name` (03), `charge_records` (03), `net_total_nested` (04), `status_nested` and
    `party_nested` (07).
    """

    message_type: str
    version: str
    namespace: str
    names: tuple[str, str, str, str, str]
    page_name: str
    additional_name: str
    bic_name: str
    charge_records: bool
    net_total_nested: bool
    status_nested: bool
    party_nested: bool

    @property
    def statement_name(self) -> str:
        """`Stmt`, `Rpt` or `Ntfctn`."""
        return self.names[1]


_ENTRY_CHAIN: Final = ("Ntry", "NtryDtls", "TxDtls")
_MESSAGES: Final = {
    "camt.052": ("BkToCstmrAcctRpt", "Rpt", "RptPgntn", "AddtlRptInf"),
    "camt.053": ("BkToCstmrStmt", "Stmt", "StmtPgntn", "AddtlStmtInf"),
    "camt.054": ("BkToCstmrDbtCdtNtfctn", "Ntfctn", "NtfctnPgntn", "AddtlNtfctnInf"),
}


def shape_of_root(root_tag: str) -> CamtShape:
    """Return the shape of the message whose root element is `{namespace}Document`.

    Raises StatementNamespaceUnknownError for another root and StatementTypeUnsupportedError for another message.
    """
    root = _ROOT.fullmatch(root_tag)
    if root is None:
        raise StatementNamespaceUnknownError("The root must be a Document in a namespace of ISO 20022.")
    namespace, message_type, version = root.groups()
    number = int(version)
    if message_type not in _MESSAGES or not _VERSION_FIRST <= number <= _VERSION_LAST:
        raise StatementTypeUnsupportedError(
            "camt.052, camt.053 and camt.054 of versions 02 to 12 are read.",
            message_type=message_type,
            version=version,
        )
    message_name, statement_name, page_name, additional_name = _MESSAGES[message_type]
    return CamtShape(
        message_type=message_type,
        version=version,
        namespace=namespace,
        names=(message_name, statement_name, *_ENTRY_CHAIN),
        page_name=page_name,
        additional_name=additional_name,
        bic_name="BICFI" if number >= 3 else "BIC",
        charge_records=number >= 3,
        net_total_nested=number >= 4,
        status_nested=number >= 7,
        party_nested=number >= 7,
    )
