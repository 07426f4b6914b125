"""Which addresses a downloader may go to: those of the public internet, whatever a URL, a redirect or a name server says."""

import ipaddress
import socket
from typing import Any

from aiohttp.abc import AbstractResolver
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from shared.errors import DownloadError

NAT64 = ipaddress.ip_network("64:ff9b::/96")  # an IPv4 address in its last 32 bits


def is_public(address: str) -> bool:
    """Whether an IP address is one that the internet routes: not private, loopback, link-local, multicast or reserved."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    inside: Any = None
    if isinstance(ip, ipaddress.IPv6Address):
        inside = ip.ipv4_mapped or ip.sixtofour or (ip.teredo and ip.teredo[1])
        if ip in NAT64:
            inside = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    if inside:
        return is_public(str(inside))
    return ip.is_global and not ip.is_multicast


def checked_url(text: Any, allow_private: bool) -> URL:
    """The address of a file on the web. Raises DownloadError for another scheme, no host, or a host that is no public address."""
    try:
        url = URL(text)
        host = url.host
    except (ValueError, TypeError):
        raise DownloadError(f"{text!r} is not an address") from None
    if url.scheme not in ("http", "https") or not host:
        raise DownloadError(f"{text!r} is not an address of the web; it begins with http:// or https://")
    if not allow_private and is_literal(host) and not is_public(host):
        raise DownloadError(f"{host} is not a public address; allow_private lets it be asked")
    return url


def is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class NotPublic(OSError):
    """A name that stands for no public address."""


class PublicResolver(AbstractResolver):
    """Gives only the public addresses of a name. It is asked for each connection, and its answer is what is connected to."""

    def __init__(self) -> None:
        self.inner = ThreadedResolver()

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[Any]:
        found = await self.inner.resolve(host, port, family)
        public = [entry for entry in found if is_public(entry["host"])]
        if not public:
            raise NotPublic(
                f"{host} is {found[0]['host']}, which is not a public address; allow_private lets it be asked"
            )
        return public

    async def close(self) -> None:
        await self.inner.close()
