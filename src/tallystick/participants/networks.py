"""Networks that a key may be used from: CIDR blocks of IPv4 (RFC 4632) and IPv6 (RFC 4291)."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Final, TypeAlias

from tallystick.core.errors import MalformedError

__all__ = ["Address", "IpAllowListMalformedError", "Network", "checked_networks", "let_in", "parsed_networks"]

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

_NETWORKS_MAX: Final = 50
_MAPPED: Final = IPv6Network("::ffff:0:0/96")


class IpAllowListMalformedError(MalformedError):
    """An entry is no CIDR block, has bits set behind its prefix, or writes IPv4 as IPv6."""

    code = "ip_allow_list_malformed"
    title = "The list of allowed networks is malformed"


def checked_networks(texts: Sequence[str]) -> tuple[str, ...]:
    """Return the networks in their one spelling, sorted and each once; raises IpAllowListMalformedError."""
    if len(texts) > _NETWORKS_MAX:
        raise IpAllowListMalformedError(f"At most {_NETWORKS_MAX} networks.")
    try:
        networks = {ip_network(text) for text in texts}
    except ValueError:
        # Python's own words repeat what was sent.
        raise IpAllowListMalformedError(
            "Write networks as 198.51.100.0/24 or 2001:db8::/32, with no bits set behind the prefix."
        ) from None
    if any(isinstance(one, IPv6Network) and one.overlaps(_MAPPED) for one in networks):
        # Callers are compared as IPv4 where that is what they are, so such an entry would let nobody in.
        raise IpAllowListMalformedError("Write IPv4 networks as IPv4.")
    return tuple(str(one) for one in sorted(networks, key=_order))


def parsed_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Return stored networks, ready to compare with."""
    return tuple(ip_network(text) for text in texts)


def let_in(networks: Iterable[Network], address: Address | None) -> bool:
    """Tell whether a caller at `address` (None: unknown) is in one of `networks`."""
    return address is not None and any(address in one for one in networks)


def _order(network: Network) -> tuple[int, int, int]:
    return network.version, int(network.network_address), network.prefixlen
