"""The chart of accounts: each code once, on its side, with floors where customers' money lies."""

from tallystick.ledger import (
    CHART,
    CLAIM_CODES,
    DEBIT_NORMAL_CODES,
    HOLDER_CODES,
    ISSUER_CODES,
    Code,
    ledger_account_id,
)


def test_every_account_is_kept_per_holder_or_per_class() -> None:
    assert {*HOLDER_CODES, *ISSUER_CODES} == set(CHART)
    assert not {*HOLDER_CODES} & {*ISSUER_CODES}
    assert HOLDER_CODES == ("2010", "2110", "2120", "2125", "2130", "2140")


def test_supply_is_what_holders_can_claim() -> None:
    assert CLAIM_CODES == ("2110", "2120", "2125", "2130", "2140")


def test_debit_normal_accounts_are_assets_and_expenses() -> None:
    assert {code for code in CHART if code[0] in "15"} - {"1511"} == DEBIT_NORMAL_CODES


def test_codes_that_are_posted_to_are_in_the_chart() -> None:
    assert {code.value for code in Code} <= set(CHART)


def test_an_account_is_named_by_its_code_and_owner() -> None:
    assert ledger_account_id(Code.TOKENS_AVAILABLE, "account_x") == "2110.account_x"
