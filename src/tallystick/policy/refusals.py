"""What the rules refuse, by reason code: a code is stable, and so is its status."""

from typing import Final

from tallystick.core.errors import ConflictError, DeniedError, DomainError, MalformedError

__all__ = [
    "REFUSALS",
    "AccountClosedError",
    "AccountFrozenError",
    "KycExpiredError",
    "KycNotVerifiedError",
    "PolicyRuleRefusedError",
    "TokenClassPausedError",
    "TokenClassRedeemOnlyError",
]


class TokenClassPausedError(ConflictError):
    """The token class is paused."""

    code = "token_class_paused"
    title = "The token class is paused"


class TokenClassRedeemOnlyError(ConflictError):
    """The token class is being wound down: only redemption is open."""

    code = "token_class_redeem_only"
    title = "The token class is open for redemption only"


class ClassNotEnabledError(ConflictError):
    """The token class needs an authority's approval, and its policy records no reference of one."""

    code = "class_not_enabled"
    title = "The token class is not enabled"


class AccountClosedError(ConflictError):
    """An account is closed."""

    code = "account_closed"
    title = "The account is closed"


class AccountFrozenError(DeniedError):
    """An account is frozen."""

    code = "account_frozen"
    title = "The account is frozen"


class AccountDebitBlockedError(DeniedError):
    """Nothing may leave the payer's account."""

    code = "account_debit_blocked"
    title = "The payer's account is blocked for debits"


class AccountCreditBlockedError(DeniedError):
    """Nothing may reach the payee's account."""

    code = "account_credit_blocked"
    title = "The payee's account is blocked for credits"


class KycNotVerifiedError(DeniedError):
    """A holder's know-your-customer check is not complete."""

    code = "kyc_not_verified"
    title = "A holder's know-your-customer check is not complete"


class KycExpiredError(DeniedError):
    """A holder's know-your-customer check has expired."""

    code = "kyc_expired"
    title = "A holder's know-your-customer check has expired"


class ScreeningHitError(DeniedError):
    """A party matches a sanctions list, and nobody has cleared the match."""

    code = "screening_hit"
    title = "A party's screening is not cleared"


class ScreeningMissingError(DeniedError):
    """A party has not been screened, and the policy asks for it."""

    code = "screening_missing"
    title = "A party has not been screened"


class HolderKindNotAllowedError(DeniedError):
    """The policy lets holders of other kinds take part only."""

    code = "holder_kind_not_allowed"
    title = "Holders of this kind may not take part"


class HolderNotAllowListedError(DeniedError):
    """The policy lets listed holders take part only, and a party is not listed."""

    code = "holder_not_allow_listed"
    title = "A holder is not on the allow-list"


class PurposeCodeRequiredError(MalformedError):
    """A payment into this country needs a purpose code."""

    code = "purpose_code_required"
    title = "A purpose code is required"


class PurposeCodeUnknownError(MalformedError):
    """The purpose code is none of those that the policy takes."""

    code = "purpose_code_unknown"
    title = "The purpose code is not known"


class CorridorDeniedError(DeniedError):
    """The policy's corridors don't let such a payment pass."""

    code = "corridor_denied"
    title = "The corridor is closed"


class CorridorReferredError(DeniedError):
    """Somebody at the bank has to decide on a payment in this corridor."""

    code = "corridor_referred"
    title = "The corridor needs a decision by the bank"


class CorridorQuotaExceededError(DeniedError):
    """The corridor's quota for a rolling day would be exceeded."""

    code = "corridor_quota_exceeded"
    title = "The corridor's quota would be exceeded"


class TransactionLimitExceededError(DeniedError):
    """One payment may not be that large."""

    code = "transaction_limit_exceeded"
    title = "The amount exceeds the limit of one payment"


class PayerDayLimitExceededError(DeniedError):
    """The account would pay more in a rolling day than it may."""

    code = "payer_day_limit_exceeded"
    title = "The account's limit for a day would be exceeded"


class PairDayLimitExceededError(DeniedError):
    """The holder would pay this payee more in a rolling day than it may."""

    code = "pair_day_limit_exceeded"
    title = "The limit between payer and payee for a day would be exceeded"


class HolderDayLimitExceededError(DeniedError):
    """The holder would pay more in a rolling day, from all of its accounts, than it may."""

    code = "holder_day_limit_exceeded"
    title = "The holder's limit for a day would be exceeded"


class MintLimitExceededError(DeniedError):
    """One mint may not be that large, whoever approves it."""

    code = "mint_limit_exceeded"
    title = "The amount exceeds the limit of one mint"


class IssuanceDayLimitExceededError(DeniedError):
    """More of the class would be minted in a rolling day than may be."""

    code = "issuance_day_limit_exceeded"
    title = "The class's issuance limit for a day would be exceeded"


class SupplyCapExceededError(DeniedError):
    """There would be more tokens of the class than there may ever be."""

    code = "supply_cap_exceeded"
    title = "The class's supply cap would be exceeded"


class MinterAllowanceExceededError(DeniedError):
    """Whoever asks for the mint has no allowance left for it, or never had one."""

    code = "minter_allowance_exceeded"
    title = "The minter's allowance would be exceeded"


class FactMissingError(DeniedError):
    """A rule needs a fact that is not known; what can't be checked is denied."""

    code = "fact_missing"
    title = "A fact that a rule needs is missing"


class PolicyErrorError(DeniedError):
    """A rule of the policy failed on these facts; what can't be checked is denied."""

    code = "policy_error"
    title = "A rule of the policy could not be evaluated"


class PolicyRuleRefusedError(DeniedError):
    """A rule of the bank's own is against it; `reasons` and `rules` name its code."""

    code = "policy_rule_refused"
    title = "A rule of the bank is against it"


REFUSALS: Final[dict[str, type[DomainError]]] = {
    error.code: error
    for error in (
        TokenClassPausedError,
        TokenClassRedeemOnlyError,
        ClassNotEnabledError,
        AccountClosedError,
        AccountFrozenError,
        AccountDebitBlockedError,
        AccountCreditBlockedError,
        KycNotVerifiedError,
        KycExpiredError,
        ScreeningHitError,
        ScreeningMissingError,
        HolderKindNotAllowedError,
        HolderNotAllowListedError,
        PurposeCodeRequiredError,
        PurposeCodeUnknownError,
        CorridorDeniedError,
        CorridorReferredError,
        CorridorQuotaExceededError,
        TransactionLimitExceededError,
        PayerDayLimitExceededError,
        PairDayLimitExceededError,
        HolderDayLimitExceededError,
        MintLimitExceededError,
        IssuanceDayLimitExceededError,
        SupplyCapExceededError,
        MinterAllowanceExceededError,
        FactMissingError,
        PolicyErrorError,
    )
}
