"""The accounts that a request names, and its amount, as the caller may use them."""

from tallystick.core.money import parse_positive_amount
from tallystick.participants import AccountFacts, AccountNotFoundError, Principal
from tallystick.tokens.instructions import Request
from tallystick.tokens.plans import Facts
from tallystick.tokens.refusals import CurrencyMismatchError, SameAccountError, TokenClassMismatchError

__all__ = ["amount_of", "may_act_for", "own_account", "two_sides"]


def two_sides(facts: Facts, request: Request) -> tuple[AccountFacts, AccountFacts]:
    """Return payer and payee; raises AccountNotFoundError, SameAccountError, TokenClassMismatchError."""
    payer = own_account(facts, request.principal, request.payer_account_id)
    payee = facts.accounts.get(request.payee_account_id or "")
    if payee is None:
        raise AccountNotFoundError(field="payee_account_id")
    if payer.account_id == payee.account_id:
        raise SameAccountError
    if payer.token_class_id != payee.token_class_id:
        raise TokenClassMismatchError
    return payer, payee


def own_account(
    facts: Facts, principal: Principal, account_id: str | None, named: str = "payer_account_id"
) -> AccountFacts:
    """Return an account that the principal may act for, or raise AccountNotFoundError for the field `named`."""
    account = facts.accounts.get(account_id or "")
    if account is None or not may_act_for(principal, account):
        raise AccountNotFoundError(field=named)
    return account


def may_act_for(principal: Principal, account: AccountFacts) -> bool:
    """Tell whether the account is the principal's own, its platform's, or its bank's."""
    if principal.holder_id is None:
        return principal.sees_whole_issuer
    return principal.holder_id in (account.holder_id, account.platform_id)


def amount_of(request: Request, account: AccountFacts) -> int:
    """Return the amount in minor units; raises CurrencyMismatchError, AmountMalformedError."""
    if request.currency != account.currency:
        raise CurrencyMismatchError
    return parse_positive_amount(request.amount or "", account.scale)
