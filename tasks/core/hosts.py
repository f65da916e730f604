"""Names of hosts, and what they tell."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a server that is bound to a host."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
