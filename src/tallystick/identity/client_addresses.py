"""Where a request comes from: the peer, or what trusted proxies say in `X-Forwarded-For`.

Each proxy appends the address it was called from, so the list is read from its right end and only for as long as the
address found is itself a trusted proxy's. Whatever stands further left was written by somebody nobody trusts.
"""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from tallystick.participants import Address, Network

__all__ = ["client_address"]


def client_address(peer: str | None, forwarded: Sequence[str], proxies: Iterable[Network]) -> Address | None:
    """Return the caller's address, IPv4-mapped IPv6 (RFC 4291, 2.5.5.2) as IPv4; None where it can't be known.

    `peer` is the other end of the connection, `forwarded` the values of every `X-Forwarded-For` in order.
    """
    trusted = tuple(proxies)
    address = None if peer is None else _address(peer)
    hops = [one.strip() for value in forwarded for one in value.split(",") if one.strip()]
    while address is not None and hops and any(address in one for one in trusted):
        address = _address(hops.pop())
    return address


def _address(text: str) -> Address | None:
    try:
        found: IPv4Address | IPv6Address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        return found.ipv4_mapped
    return found
