"""The check: silent on an honest bank, and exact about where a dishonest one differs."""

from tests.bank import Bank
from tests.integrity.lived import check


def test_an_honest_bank_has_no_findings(lived: Bank) -> None:
    found = check(lived)
    assert found.findings == []
