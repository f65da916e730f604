"""Addresses of prediction services: their URL, or each address of its host name."""

import socket
from urllib.parse import urlsplit

_EACH = "dns+"


def addresses_of(service: str) -> list[str]:
    """Return the base URLs of a service.

    Args:
        service: A base URL. The prefix `dns+` selects all services behind one host name.

    Returns:
        The URL itself, or one URL for each address of its host.

    Raises:
        OSError: The host name has no address.
    """
    if not service.startswith(_EACH):
        return [service]
    url = urlsplit(service.removeprefix(_EACH))
    port = url.port or 80
    hosts_of_name = {str(info[4][0]) for info in socket.getaddrinfo(url.hostname, port, type=socket.SOCK_STREAM)}
    hosts = [f"[{address}]" if ":" in address else address for address in sorted(hosts_of_name)]
    return [f"{url.scheme}://{host}:{port}{url.path}" for host in hosts]
