"""The policy document: a bank's rules for one token class, as JSON of one format, bounded in every direction.

Members that are left out have the values of this format, which never change: a document is stored with all of them
written out, so that what people approved stays what is decided.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    ValidationError,
    model_serializer,
)

from tallystick.core.canonical_json import canonical_json
from tallystick.core.errors import MalformedError
from tallystick.core.strict_json import JsonValue

__all__ = [
    "DOCUMENT_SIZE_MAX_BYTES",
    "Approvals",
    "CorridorRow",
    "PolicyDocument",
    "PolicyDocumentInvalidError",
    "PolicyDocumentTooLargeError",
    "Rule",
    "read_document",
    "written_out",
]

DOCUMENT_SIZE_MAX_BYTES: Final = 262_144
_RULES_MAX: Final = 200
_CORRIDORS_MAX: Final = 2_000
_NAMES_MAX: Final = 2_000
_ERRORS_SHOWN_MAX: Final = 20

Limit = Annotated[str, StringConstraints(max_length=40)] | None
Hours = Annotated[int, Field(ge=1, le=8_760)]
Country = Annotated[str, StringConstraints(pattern=r"^([A-Z]{2}|\*)$")]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{2,63}$")]
Purpose = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{2,10}$")]
Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.\-]{1,64}$")]
Action = Literal["allow", "deny", "refer"]
Effect = Literal["deny", "refer"]
HolderKindName = Literal["corporate", "merchant", "platform", "institution"]
KindName = Literal[
    "mint",
    "transfer",
    "hold",
    "hold_execution",
    "redemption",
    "payout",
    "deposit_release",
    "hold_void",
    "reversal",
    "deposit",
    "deposit_assignment",
]


class PolicyDocumentInvalidError(MalformedError):
    """The document is not of this format; `errors` names each member that is wrong with a JSON Pointer."""

    code = "policy_document_invalid"
    title = "The policy document does not have the expected members"


class PolicyDocumentTooLargeError(MalformedError):
    """The document, written out, has more bytes than a policy may have."""

    code = "policy_document_too_large"
    status = 413
    title = "The policy document is too large"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Kyc(_Part):
    """Whether holders need a valid know-your-customer check."""

    enabled: bool = True


class Screening(_Part):
    """What happens when a party matches a sanctions list, and when it was never screened."""

    on_hit: Effect = "refer"
    on_unscreened: Action = "allow"


class AllowList(_Part):
    """Who may take part: holders of these kinds (empty: of any), and, if `only_listed`, only those on the list."""

    enabled: bool = False
    holder_kinds: Annotated[list[HolderKindName], Field(max_length=8)] = []
    only_listed: bool = False
    holders: Annotated[list[Id], Field(max_length=_NAMES_MAX)] = []


class Limits(_Part):
    """Payment limits as decimal strings of the class's scale; left out: none. A day is a rolling one."""

    transaction: Limit = None
    payer_day: Limit = None
    pair_day: Limit = None
    holder_day: Limit = None


class Issuance(_Part):
    """Issuance limits. With `minter_allowances`, only those named may mint, each so much in all."""

    mint: Limit = None
    day: Limit = None
    supply: Limit = None
    minter_allowances: (
        Annotated[dict[Id, Annotated[str, StringConstraints(max_length=40)]], Field(max_length=_NAMES_MAX)]
        | None
    ) = None


class Purposes(_Part):
    """Into which countries a payment from another one needs a purpose code, and which codes are taken."""

    required_into: Annotated[list[Country], Field(max_length=300)] = []
    codes: Annotated[list[Purpose], Field(max_length=_NAMES_MAX)] | None = None


class CorridorRow(_Part):
    """One corridor: `*` fits anything. An allowed one may have a quota for a rolling day, and then needs an id."""

    id: Id | None = None
    payer_country: Country = "*"
    payer_residency: Country = "*"
    payee_country: Country = "*"
    payee_residency: Country = "*"
    currency: Annotated[str, StringConstraints(pattern=r"^([A-Z]{3}|\*)$")] = "*"
    purpose: Annotated[str, StringConstraints(pattern=r"^([A-Z0-9]{2,10}|\*)$")] = "*"
    action: Action
    quota_day: Limit = None

    @model_serializer(mode="wrap")
    def _short(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Two thousand rows fit only without saying two thousand times that anything fits.
        return {name: value for name, value in serialize(self).items() if value not in {"*", None}}


class CorridorTable(_Part):
    """Corridors in order: the first row that fits decides, and `otherwise` where none does."""

    enabled: bool = False
    rows: Annotated[list[CorridorRow], Field(max_length=_CORRIDORS_MAX)] = []
    otherwise: Action = "allow"


class CheckersRow(_Part):
    """From amounts above `above` on, so many other people approve."""

    above: Annotated[str, StringConstraints(max_length=40)] | None = None
    checkers: Annotated[int, Field(ge=1, le=5)]


CheckersRows = Annotated[list[CheckersRow], Field(max_length=8)]


class Approvals(_Part):
    """How many other people must approve, by amount; the row that asks for most of them counts.

    Mints, reversals and deposits confirmed by hand take one at least. What is left out takes none.
    """

    mint: CheckersRows = []
    deposit: CheckersRows = []
    redemption: CheckersRows = []
    payout: CheckersRows = []
    deposit_release: CheckersRows = []
    transfer: CheckersRows = []
    hold: CheckersRows = []
    reversal: CheckersRows = []
    transfer_batch: CheckersRows = []


class Breaker(_Part):
    """When issuance stops by itself: more mints, or more in all, than this within so many seconds."""

    window_seconds: Annotated[int, Field(ge=1, le=86_400)] = 60
    mints: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    amount: Limit = None


class DueHours(_Part):
    """Within how many hours a break of each type is to be dealt with."""

    missing_event: Hours = 4
    missing_bank_entry: Hours = 24
    unexpected_bank_entry: Hours = 24
    amount: Hours = 24
    duplicate: Hours = 24
    timing: Hours = 72


class Reconciliation(_Part):
    """How the class is held against the bank, and when that suspends its issuance.

    `backing`: the bank's money is on one control account, or stays on the customers' own accounts under holds. With
    `bank_data_age_max_hours` nothing is minted on older bank data. `tolerance` is how much the bank may lack; left out:
    nothing. `sequence_gaps_accepted` is for banks that number their statements with gaps.
    """

    backing: Literal["control_account", "customer_holds"] = "control_account"
    bank_data_age_max_hours: Hours | None = None
    tolerance: Limit = None
    sequence_gaps_accepted: bool = False
    due_hours: DueHours = DueHours()


class Rule(_Part):
    """A rule of the bank's own: when `when` (CEL) holds of an instruction of these kinds, deny or refer it."""

    id: Name
    on: Annotated[list[KindName], Field(min_length=1, max_length=10)]
    # Its length is checked with its content, under a code of its own.
    when: str
    effect: Effect
    code: Name
    message: Annotated[str, StringConstraints(min_length=1, max_length=200)]


class PolicyDocument(_Part):
    """The rules of one token class. What is left out is off, save for the check of holders."""

    format: Literal["tallystick-policy/1"]
    description: Annotated[str, StringConstraints(max_length=1_000)] = ""
    requires_approval_reference: bool = False
    approval_reference: Annotated[str, StringConstraints(min_length=1, max_length=140)] | None = None
    kyc: Kyc = Kyc()
    screening: Screening = Screening()
    allow_list: AllowList = AllowList()
    limits: Limits = Limits()
    issuance: Issuance = Issuance()
    purposes: Purposes = Purposes()
    corridors: CorridorTable = CorridorTable()
    approvals: Approvals = Approvals()
    breaker: Breaker = Breaker()
    reconciliation: Reconciliation = Reconciliation()
    rules: Annotated[list[Rule], Field(max_length=_RULES_MAX)] = []


def read_document(value: JsonValue) -> PolicyDocument:
    """Return JSON as a document, or raise PolicyDocumentInvalidError, which repeats nothing of it."""
    try:
        return PolicyDocument.model_validate(value)
    except ValidationError as error:
        raise PolicyDocumentInvalidError(
            errors=[
                {
                    "pointer": "".join(f"/{part}" for part in one["loc"] if _is_plain(part)),
                    "code": one["type"],
                }
                for one in error.errors(include_url=False, include_input=False)[:_ERRORS_SHOWN_MAX]
            ]
        ) from None


def written_out(document: PolicyDocument) -> tuple[dict[str, Any], bytes]:
    """Return the document with nothing left to defaults, and its canonical JSON (RFC 8785), which is what is hashed.

    Raises PolicyDocumentTooLargeError.
    """
    whole = document.model_dump(mode="json")
    canonical = canonical_json(whole)
    if len(canonical) > DOCUMENT_SIZE_MAX_BYTES:
        raise PolicyDocumentTooLargeError(size_max_bytes=DOCUMENT_SIZE_MAX_BYTES)
    return whole, canonical


def _is_plain(part: str | int) -> bool:
    return isinstance(part, int) or (part.isascii() and part.replace("_", "").isalnum() and len(part) <= 64)
