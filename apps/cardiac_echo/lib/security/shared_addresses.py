"""Addresses that many clients share: this machine's own, and those of proxies."""

from __future__ import annotations

import ipaddress


def is_shared(address: str, proxies: str) -> bool:
    """Return whether many clients may come from an address, so that a limit would hit them all.

    Parameters
    ----------
    proxies : str
        Addresses and networks of proxies, separated by commas; ``*`` for all.

    Examples
    --------
    >>> is_shared("127.0.0.1", ""), is_shared("10.1.2.3", "10.0.0.0/8"), is_shared("10.1.2.3", "192.168.0.1")
    (True, True, False)
    """
    try:
        client = ipaddress.ip_address(address)
    except ValueError:
        return True
    client = getattr(client, "ipv4_mapped", None) or client
    networks = [part.strip() for part in proxies.split(",") if part.strip()]
    return client.is_loopback or "*" in networks or any(_contains(part, client) for part in networks)


def _contains(network: str, client: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    try:
        return client in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
