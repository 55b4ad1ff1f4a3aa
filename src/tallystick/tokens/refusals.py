"""What the write path refuses, beyond what policy and ledger refuse."""

from tallystick.core.errors import ConflictError, DeniedError, DomainError, MalformedError, NotFoundError

__all__ = [
    "AccountHasOrdersError",
    "AccountHasPayoutsError",
    "AccountNotEmptyError",
    "ApprovalNeededError",
    "AtomicBatchRefusedError",
    "BatchClassesMixedError",
    "BatchItemsMalformedError",
    "CurrencyMismatchError",
    "DepositNotAssignableError",
    "EntryChangedError",
    "HoldClosedError",
    "HoldExpiredError",
    "HoldNotFoundError",
    "IdempotencyKeyReusedError",
    "InstructionNotFoundError",
    "InternalError",
    "MakerNotAPersonError",
    "NotReversibleError",
    "OrderChangedError",
    "RemainingExceededError",
    "SameAccountError",
    "TokenClassMismatchError",
]


class IdempotencyKeyReusedError(ConflictError):
    """The key answered another request before; the members name what it made."""

    code = "idempotency_key_reused"
    title = "The Idempotency-Key was used for a different request"


class CurrencyMismatchError(MalformedError):
    """The currency is not the token class's."""

    code = "currency_mismatch"
    title = "The currency is not the account's"


class TokenClassMismatchError(MalformedError):
    """Payer and payee hold different token classes."""

    code = "token_class_mismatch"
    title = "The accounts belong to different token classes"


class SameAccountError(MalformedError):
    """Payer and payee are one account."""

    code = "same_account"
    title = "Payer and payee are the same account"


class InstructionNotFoundError(NotFoundError):
    """No such instruction, or none that the caller may know of."""

    code = "instruction_not_found"
    title = "No such instruction"


class EntryChangedError(ConflictError):
    """What was asked for would post another entry by now than people were told of, or none: it is to be asked anew."""

    code = "entry_changed"
    title = "It would post another entry by now"


class HoldNotFoundError(NotFoundError):
    """No such hold, or none that the caller may act on."""

    code = "hold_not_found"
    title = "No such hold"


class HoldClosedError(ConflictError):
    """The hold was executed or voided in full."""

    code = "hold_closed"
    title = "The hold is no longer open"


class HoldExpiredError(ConflictError):
    """The hold's time is over: it can only be voided."""

    code = "hold_expired"
    title = "The hold has expired"


class RemainingExceededError(ConflictError):
    """More is asked back than remains of the hold or the transfer."""

    code = "remaining_exceeded"
    title = "The amount exceeds what remains"


class NotReversibleError(ConflictError):
    """Only a settled transfer can be reversed."""

    code = "not_reversible"
    title = "Only a settled transfer can be reversed"


class DepositNotAssignableError(ConflictError):
    """The deposit was assigned before, or is none."""

    code = "deposit_not_assignable"
    title = "The deposit does not wait for assignment"


class AccountNotEmptyError(ConflictError):
    """An account with a balance can't be closed."""

    code = "account_not_empty"
    title = "The account still has a balance"


class AccountHasOrdersError(ConflictError):
    """An account can't be closed while an order on it is in force, or has expired and was not ended yet."""

    code = "account_has_orders"
    title = "Orders are in force on the account"


class AccountHasPayoutsError(ConflictError):
    """An account can't be closed while a payout from it is under way: its tokens may come back."""

    code = "account_has_payouts"
    title = "Payouts from the account are under way"


class OrderChangedError(ConflictError):
    """The lift would give back another amount than the one that was asked for and approved: ask again."""

    code = "order_changed"
    title = "What the order gives back has changed since the lift was asked for"


class ApprovalNeededError(ConflictError):
    """An item of an all-or-none batch would have to wait for people."""

    code = "approval_needed"
    title = "The item waits for an approval, so it can't settle now"


class MakerNotAPersonError(DeniedError):
    """What needs four eyes must be asked by a person."""

    code = "maker_not_a_person"
    title = "Only a person may ask for this"


class AtomicBatchRefusedError(ConflictError):
    """One item of an all-or-none batch was refused, so none settled; `items` names the refused ones."""

    code = "atomic_batch_refused"
    title = "An item was refused, so none of the batch settled"


class BatchClassesMixedError(MalformedError):
    """A batch whose total people have to approve may be of one token class only: they type one sum."""

    code = "batch_classes_mixed"
    title = "A batch that waits for people must be of one token class"


class BatchItemsMalformedError(MalformedError):
    """Items of a batch that would wait for people could never settle; `items` names them."""

    code = "batch_items_malformed"
    title = "Items of a batch that waits for people are malformed"


class InternalError(DomainError):
    """A fault of the service's own. Nothing was written; operators are alerted."""

    code = "internal_error"
    status = 500
    title = "The service failed"
