"""Approvals are found by state and subject, page by page, by their own issuer only."""

import pytest

from tallystick import approvals
from tallystick.approvals import ApprovalNotFoundError
from tallystick.core.ids import with_prefix
from tallystick.tokens import Kind
from tests.bank import Bank


def asked(bank: Bank) -> str:
    return bank.ask(
        Kind.MINT,
        bank.maker,
        amount="1.00",
        currency="USD",
        payee_account_id=bank.account_id("HARBOUR-USD"),
    ).resource_id


def test_what_waits_and_what_is_decided_is_found(bank: Bank) -> None:
    bank.deposit("HARBOUR-USD", "9.00")
    mints = [asked(bank) for _ in range(5)]
    bank.approve(mints[1], "1.00", "USD")
    bank.reject(mints[3], "Not today.")
    ids = [with_prefix("approval", one) for one in mints]

    with bank.database.read() as connection:
        whole = approvals.approvals(connection, bank.issuer_id)
        first = approvals.approvals(connection, bank.issuer_id, limit=2)
        rest = approvals.approvals(connection, bank.issuer_id, after=first[-1].id)
        pending = approvals.approvals(connection, bank.issuer_id, state="pending")
        of_one = approvals.approvals(connection, bank.issuer_id, subject_id=mints[3])
        votes = approvals.votes(connection, bank.issuer_id, ids)
        assert approvals.approvals(connection, "issuer_of_others") == []
        assert approvals.votes(connection, "issuer_of_others", ids) == {}
        with pytest.raises(ApprovalNotFoundError):
            approvals.approval(connection, "issuer_of_others", ids[0])
    assert sorted(one.id for one in whole) == sorted(ids)
    assert first + rest == whole
    assert {one.id for one in pending} == {ids[0], ids[2], ids[4]}
    assert [(one.id, one.state) for one in of_one] == [(ids[3], "rejected")]
    assert {one: [vote.decision for vote in cast] for one, cast in votes.items()} == {
        ids[1]: ["approve"],
        ids[3]: ["reject"],
    }
    assert votes[ids[3]][0].reason == "Not today."
