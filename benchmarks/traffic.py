"""Who pays whom: uniform over 1,000 or 100,000 accounts, or everybody to one hot account."""

import random
from enum import StrEnum
from typing import NamedTuple

__all__ = ["HOT_ACCOUNTS", "Traffic", "Transfer", "accounts_of", "transfers"]

# The payers of the hot account; it is the first account itself.
HOT_ACCOUNTS = 1_000


class Traffic(StrEnum):
    """A pattern of payers and payees."""

    UNIFORM_1K = "uniform_1k"
    UNIFORM_100K = "uniform_100k"
    HOT = "hot"


class Transfer(NamedTuple):
    """What is asked of the product; `amount` is a decimal string of two decimals."""

    payer_account_id: str
    payee_account_id: str
    amount: str


def accounts_of(traffic: Traffic) -> int:
    """Return how many accounts a pattern needs."""
    return {Traffic.UNIFORM_1K: 1_000, Traffic.UNIFORM_100K: 100_000, Traffic.HOT: HOT_ACCOUNTS}[traffic]


def transfers(
    traffic: Traffic, account_ids: list[str], count: int, random_source: random.Random
) -> list[Transfer]:
    """Return `count` transfers between different accounts, of 0.01 to 9.99 each."""
    taken = account_ids[: accounts_of(traffic)]
    last = len(taken) - 1
    pick = random_source.random
    made = []
    for _ in range(count):
        payer = 1 + int(pick() * last)
        payee = 0 if traffic is Traffic.HOT else (payer + 1 + int(pick() * last)) % (last + 1)
        cents = 1 + int(pick() * 999)
        made.append(Transfer(taken[payer], taken[payee], f"{cents // 100}.{cents % 100:02d}"))
    return made
