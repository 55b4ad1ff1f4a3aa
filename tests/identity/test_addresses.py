"""Where a call comes from: nobody chooses that for himself."""

from ipaddress import IPv4Network, IPv6Network, ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.identity import FailedAttempts, client_address
from tallystick.participants import IpAllowListMalformedError, checked_networks, let_in, parsed_networks

PROXIES = parsed_networks(["10.0.0.0/8", "2001:db8:1::/48"])


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        ("203.0.113.7", [], "203.0.113.7"),
        ("203.0.113.7", ["198.51.100.1"], "203.0.113.7"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["192.0.2.66, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["192.0.2.66", "198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["192.0.2.66, 198.51.100.1, 10.2.3.4"], "198.51.100.1"),
        ("10.0.0.1", ["10.2.3.4"], "10.2.3.4"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["", " , "], "10.0.0.1"),
        ("::ffff:10.0.0.1", ["::ffff:198.51.100.1"], "198.51.100.1"),
        ("2001:db8:1::1", ["2001:db8:2::2"], "2001:db8:2::2"),
        ("fe80::1%eth0", [], "fe80::1"),
        ("10.0.0.1", ["198.51.100.1, unknown"], None),
        ("10.0.0.1", ["198.51.100.1:443"], None),
        ("10.0.0.1", ["198.051.100.1"], None),
        ("testclient", [], None),
        (None, ["198.51.100.1"], None),
    ],
)
def test_the_rightmost_that_nobody_trusts(peer: str | None, forwarded: list[str], found: str | None) -> None:
    address = client_address(peer, forwarded, PROXIES)
    assert address == (None if found is None else ip_address(found))


@given(st.text(max_size=200))
@settings(max_examples=60)
def test_what_stands_left_of_a_proxys_word_changes_nothing(invented: str) -> None:
    assert client_address("10.0.0.1", [invented, "198.51.100.1"], PROXIES) == ip_address("198.51.100.1")
    assert client_address("203.0.113.7", [invented], PROXIES) == ip_address("203.0.113.7")


def test_networks_have_one_spelling() -> None:
    assert checked_networks(["2001:DB8::/32", "203.0.113.9", "203.0.113.0/24", "203.0.113.0/24"]) == (
        "203.0.113.0/24",
        "203.0.113.9/32",
        "2001:db8::/32",
    )


@pytest.mark.parametrize(
    "texts",
    [
        ["203.0.113.1/24"],
        ["203.0.113.0/33"],
        ["203.0.113"],
        ["example.com"],
        [""],
        ["::ffff:203.0.113.0/120"],
        ["::/0"],
        ["10.0.0.0/8"] * 51,
    ],
)
def test_networks_that_mislead_are_refused(texts: list[str]) -> None:
    with pytest.raises(IpAllowListMalformedError) as refused:
        checked_networks(texts)
    assert not [one for one in texts if one and one in str(refused.value)] or texts[0] == "::/0"


def test_a_caller_without_an_address_is_in_no_network() -> None:
    assert not let_in((IPv4Network("0.0.0.0/0"), IPv6Network("::/0")), None)
    assert let_in((IPv4Network("203.0.113.0/24"),), ip_address("203.0.113.255"))
    assert not let_in((IPv4Network("203.0.113.0/24"),), ip_address("203.0.114.0"))
    assert not let_in((IPv4Network("203.0.113.0/24"),), ip_address("::1"))


class TestFailedAttempts:
    def test_an_address_waits_for_its_minute_to_end(self) -> None:
        failures = FailedAttempts(3)
        for _ in range(3):
            assert failures.wait_seconds("a", 100.0) == 0
            failures.note("a", 100.0)
        assert failures.wait_seconds("a", 101.0) == 59
        assert failures.wait_seconds("b", 101.0) == 0
        assert failures.wait_seconds("a", 160.0) == 0
        failures.note("a", 160.0)
        assert failures.wait_seconds("a", 161.0) == 0

    def test_its_memory_is_bounded(self) -> None:
        failures = FailedAttempts(1)
        for number in range(10_050):
            failures.note(str(number), 1.0)
        assert len(failures._counts) == 10_000
        assert failures.wait_seconds("0", 1.0) == 0, "the oldest gave way"
        assert failures.wait_seconds("10049", 1.0) == 60
