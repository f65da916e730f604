"""Where prediction services are asked: at their URL, or at each address that the name in it has."""

import socket
from urllib.parse import urlsplit

_EACH = "dns+"


def addresses_of(service: str) -> list[str]:
    """The base URLs to ask.

    Args:
        service: A base URL. With `dns+` before it, all services behind one name, however many there are at the moment.

    Returns:
        The URL itself, or one for each address of its host.

    Raises:
        OSError: the name has no address.
    """
    if not service.startswith(_EACH):
        return [service]
    url = urlsplit(service.removeprefix(_EACH))
    port = url.port or 80
    found = {str(each[4][0]) for each in socket.getaddrinfo(url.hostname, port, type=socket.SOCK_STREAM)}
    hosts = [f"[{address}]" if ":" in address else address for address in sorted(found)]
    return [f"{url.scheme}://{host}:{port}{url.path}" for host in hosts]
