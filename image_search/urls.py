"""The URLs of users, taken apart and judged: their form, the addresses behind them, the allow-list. Pure.

`fetching` connects to nothing that has not been through here.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
import urllib.parse
from dataclasses import dataclass

from image_search.errors import ConfigError, InvalidParameter

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

FIELD = "image_url"
MAX_URL_CHARS = 4096
DEFAULT_PORTS = {"http": 80, "https": 443}

# RFC 3986: what may stand in a path or a query, and % for what is encoded already.
_URL_CHARACTERS = "%/:?#[]@!$&'()*+,;=-._~"
_AUTHORITY = re.compile(r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<name>[^\[\]:]+))(?::(?P<port>[0-9]{0,5}))?")
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


def _networks(*texts: str) -> tuple[IPNetwork, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


# The IANA registries of special-purpose addresses, IPv4 and IPv6, as of 2025: `ipaddress` knows most of them, not all
# in every Python. Of IPv6 only 2000::/3 is handed out at all, which leaves out IPv4-mapped, NAT64, ULA and the like.
_SPECIAL = _networks(
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"),
    *("192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
    *("224.0.0.0/4", "240.0.0.0/4"),
    *("64:ff9b::/96", "64:ff9b:1::/48", "2001::/23", "2001:db8::/32", "2002::/16", "3ffe::/16", "3fff::/20"),
    # A public address by its number, but what answers there is the Azure machine's own host.
    "168.63.129.16/32",
)
_HANDED_OUT_IPV6 = ipaddress.ip_network("2000::/3")
_LAN = _networks("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
# Where Amazon's machines find their credentials over IPv6; in fc00::/7, but no LAN.
_METADATA = _networks("fd00:ec2::/32")


@dataclass(frozen=True, slots=True)
class Target:
    """A URL taken apart, once: what is checked is what is connected to."""

    scheme: str
    host: str
    """Lower-case ASCII without a trailing dot, or an IP address without brackets."""
    address: IPAddress | None
    port: int
    path: str
    """ASCII, with the query."""

    @classmethod
    def parse(cls, url: str) -> Target:
        """Raises InvalidParameter for whatever is not a plain http or https address."""
        check_characters(url)
        try:
            parts = urllib.parse.urlsplit(url)
        except ValueError as error:
            raise InvalidParameter(FIELD, "not an address; expected http://host/path or https://host/path") from error
        if parts.scheme not in DEFAULT_PORTS:
            raise InvalidParameter(FIELD, "only http:// and https:// addresses are accepted")
        if "@" in parts.netloc:
            raise InvalidParameter(FIELD, "an address with a user name or password is not accepted")
        match = _AUTHORITY.fullmatch(parts.netloc)
        if match is None:
            raise InvalidParameter(FIELD, "the address has no host, or not one that can be read")
        port = int(match["port"] or DEFAULT_PORTS[parts.scheme])
        if not 1 <= port <= 65_535:
            raise InvalidParameter(FIELD, "the address has a port that does not exist")
        host, address = _parse_host(match["name"], match["ipv6"])
        path = urllib.parse.quote(parts.path or "/", safe=_URL_CHARACTERS)
        if parts.query:
            path += "?" + urllib.parse.quote(parts.query, safe=_URL_CHARACTERS)
        return cls(parts.scheme, host, address, port, path)

    @property
    def authority(self) -> str:
        """The Host header."""
        host = _bracketed(self.host)
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def admitted_by(self, address: IPAddress | None = None) -> str:
        """The entry of the allow-list that admits this host and port, and no more; `address`: where the host is."""
        # A name that is listed leads to public addresses and into the LAN, and nowhere else.
        by_name = address is None or is_public(address) or is_lan(address)
        return f"{_bracketed(self.host if by_name else str(address))}:{self.port}"

    @property
    def url(self) -> str:
        """The whole in its plain form."""
        return f"{self.scheme}://{self.authority}{self.path}"


@dataclass(frozen=True, slots=True)
class Allowed:
    """One entry of the allow-list: a name or a network, at one port or at the usual ones (None)."""

    name: str | None
    network: IPNetwork | None
    port: int | None

    @classmethod
    def parse(cls, text: str) -> Allowed:
        """Raises ConfigError for what is no host, address or network."""
        match = re.fullmatch(r"(?:\[(?P<ipv6>[^\[\]]+)\]|(?P<other>[^\[\]:]+))(?::(?P<port>[0-9]{1,5}))?", text)
        host, port = (match["ipv6"] or match["other"], match["port"]) if match else (text, None)
        try:
            if port is not None and not 1 <= int(port) <= 65_535:
                raise ValueError("port")
            with contextlib.suppress(ipaddress.AddressValueError, ipaddress.NetmaskValueError):
                kind = ipaddress.IPv6Network if ":" in host else ipaddress.IPv4Network
                return cls(None, kind(host), int(port) if port else None)
            name, address = _parse_host(host, None)
            if address is not None:
                raise ValueError("address")
            return cls(name, None, int(port) if port else None)
        except (ValueError, InvalidParameter) as error:
            raise ConfigError(
                f"url_fetch.allow: {text!r} is no host name, IP address or network (as in 192.168.1.0/24), "
                "each with :port or without"
            ) from error


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def is_public(address: IPAddress) -> bool:
    """Whether the address is handed out to somebody on the internet: global, and nothing special in any registry."""
    if isinstance(address, ipaddress.IPv6Address) and (address not in _HANDED_OUT_IPV6 or address.is_site_local):
        return False
    special = (
        address.is_private
        or address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_reserved
        or address.is_unspecified
    )
    return address.is_global and not special and not any(address in network for network in _SPECIAL)


def is_lan(address: IPAddress) -> bool:
    """Whether the address belongs to a private network, where a name that was listed may lead."""
    return any(address in network for network in _LAN) and not any(address in network for network in _METADATA)


def check_characters(url: str) -> None:
    """Raises InvalidParameter for characters that parsers disagree about, and for too many of them."""
    if len(url) > MAX_URL_CHARS:
        raise InvalidParameter(
            FIELD, f"the address has {len(url):,} characters; at most {MAX_URL_CHARS:,} are accepted"
        )
    if "\\" in url or " " in url or not url.isprintable():
        raise InvalidParameter(FIELD, "an address with backslashes, spaces or control characters is not accepted")


def _parse_host(name: str | None, ipv6: str | None) -> tuple[str, IPAddress | None]:
    """The host in its plain form, and its address where it is one. Raises InvalidParameter."""
    try:
        if name is None:
            address = ipaddress.IPv6Address(ipv6 or "")
            return str(address), address
        host = name if name.isascii() else _ascii_name(name)
    except ValueError as error:
        raise InvalidParameter(FIELD, "the host of the address is not valid") from error
    host = host.lower().removesuffix(".")
    if not _NAME.fullmatch(host):
        raise InvalidParameter(FIELD, "the host of the address is not valid")
    # What resolvers take for an IPv4 address goes beyond a.b.c.d: 2130706433, 0177.0.0.1, 0x7f.1.
    if not _NUMBER.fullmatch(host.rpartition(".")[2]):
        return host, None
    try:
        return host, ipaddress.IPv4Address(host)
    except ValueError as error:
        raise InvalidParameter(FIELD, "an IPv4 address is written as four decimal numbers, a.b.c.d") from error


def _ascii_name(name: str) -> str:
    # Its tables are large, and few names need them.
    import idna

    return idna.encode(name, uts46=True).decode("ascii")
