"""Whether a request comes from the server's own machine, whose programs can open its files."""

from __future__ import annotations

import ipaddress

from starlette.datastructures import Headers
from starlette.types import Scope

from lib.security.environment import environment

OWN_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
PROXY_HEADERS = ("x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "forwarded", "via")


def shows_paths(scope: Scope) -> bool:
    """Return whether an answer may name paths: on this machine, or with ``CARDIOLABEL_SHOW_PATHS``.

    A proxy on this machine is recognised by its headers, or by the name that it passes on.
    """
    return environment().show_paths or is_local(scope)


def is_local(scope: Scope) -> bool:
    """Return whether a request was sent from this machine, to a name of this machine, without a proxy."""
    headers = Headers(scope=scope)
    if any(name in headers for name in PROXY_HEADERS):
        return False
    client = scope.get("client")
    return (
        without_port(headers.get("host", "")) in OWN_NAMES and client is not None and is_loopback(client[0])
    )


def without_port(host: str) -> str:
    """Return the name in a ``Host`` header in lower case.

    >>> without_port("Localhost:8000"), without_port("[::1]:8000"), without_port("[::1]")
    ('localhost', '[::1]', '[::1]')
    """
    name = host.strip().lower()
    return name if name.endswith("]") else name.rpartition(":")[0] or name


def is_loopback(address: str) -> bool:
    """Return whether an address is one of this machine's own.

    >>> is_loopback("127.0.0.1"), is_loopback("::ffff:127.0.0.1"), is_loopback("10.1.2.3"), is_loopback("")
    (True, True, False, False)
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return bool((mapped or parsed).is_loopback)
