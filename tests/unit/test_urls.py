"""The form of a URL, the kinds of addresses, the entries of the allow-list."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from image_search.errors import ConfigError, InvalidParameter
from image_search.urls import MAX_URL_CHARS, Allowed, Target, is_lan, is_public

NO_ADDRESS = (
    "",
    "example.com/x.jpg",
    "//example.com/x.jpg",
    "http:example.com",
    "http:/example.com",
    "http:///x.jpg",
    " http://example.com/",
    "http://example.com/\n",
    "http://example.com/\r\nX-Header: 1",
    "http://exam\tple.com/",
    "http://example.com/\x00",
    "http://example.com/\ud800",
    "\x01http://example.com/",
)
"""As the target of a redirect some of them are quite usual, and some cannot be sent."""

BAD_FORM = (
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_INFO",
    "ftp://example.com/x.jpg",
    "data:image/png;base64,iVBORw0KGgo=",
    "javascript:alert(1)",
    "jar:http://example.com!/x",
    "http://127.0.0.1:6666\\@1.1.1.1/",
    "http:\\\\example.com\\x.jpg",
    "http://example.com\\.evil.example/",
    "http://user@example.com/",
    "http://user:password@example.com/",
    "http://1.1.1.1@127.0.0.1/",
    "http://@example.com/",
    "http://exam ple.com/",
    "http://example.com/a b.jpg",
    "http://example.com/\u202egpj.exe",
    "http://%31%32%37.0.0.1/",
    "http://example%2ecom/",
    "http://2130706433/",
    "http://0177.0.0.1/",
    "http://0x7f.1/",
    "http://0x7f000001/",
    "http://127.1/",
    "http://127.0.0.0x1/",
    "http://0x/",
    "http://1.2.3.4.5/",
    "http://256.1.1.1/",
    "http://[::1/",
    "http://::1/",
    "http://[::1]x/",
    "http://[fe80::1%25eth0]/",
    "http://[1.2.3.4]/",
    "http://[v1.x]/",
    "http://example.com:0/",
    "http://example.com:65536/",
    "http://example.com:+80/",
    "http://example.com:８０/",
    "http://example.com:80:80/",
    "http://-example.com/",
    "http://example..com/",
    "http://.example.com/",
    "http://example.com../",
    "http://exa<mple.com/",
    "http://exa℀mple.com/",
    "http://example.com／@127.0.0.1/",
    f"http://{'a' * 64}.example/",
    f"http://{'a.' * 127}example/",
    f"http://example.com/{'a' * MAX_URL_CHARS}",
)


@pytest.mark.parametrize("url", NO_ADDRESS + BAD_FORM)
def test_what_is_no_plain_address_is_refused_by_its_form(url: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        Target.parse(url)
    assert caught.value.field == "image_url"
    assert len(str(caught.value)) < 200, "what was given is not said back"


@pytest.mark.parametrize(
    ("url", "host", "port", "path"),
    [
        ("http://example.com", "example.com", 80, "/"),
        ("HTTPS://EXAMPLE.COM./A.JPG", "example.com", 443, "/A.JPG"),
        ("http://example.com:/?a=1&b=[2]#there", "example.com", 80, "/?a=1&b=[2]"),
        ("https://example.com:8443//a/../b;c=1", "example.com", 8443, "//a/../b;c=1"),
        ("http://example.com/%E5%9B%BE.jpg?u=a%20b", "example.com", 80, "/%E5%9B%BE.jpg?u=a%20b"),
        ("http://example.com/图.jpg?q=é", "example.com", 80, "/%E5%9B%BE.jpg?q=%C3%A9"),
        ("http://a_b-c.example.com/", "a_b-c.example.com", 80, "/"),
        ("http://bücher.example/", "xn--bcher-kva.example", 80, "/"),
        ("http://例え。テスト/", "xn--r8jz45g.xn--zckzah", 80, "/"),
        ("http://localhost/", "localhost", 80, "/"),
    ],
)
def test_an_address_is_taken_apart_once(url: str, host: str, port: int, path: str) -> None:
    target = Target.parse(url)
    assert (target.host, target.port, target.path, target.address) == (host, port, path, None)


@pytest.mark.parametrize(
    ("url", "address", "authority"),
    [
        ("http://127.0.0.1./", "127.0.0.1", "127.0.0.1"),
        ("http://①②⑦.⓪.⓪.①:8080/", "127.0.0.1", "127.0.0.1:8080"),
        ("http://[0:0:0:0:0:0:0:1]/", "::1", "[::1]"),
        ("https://[2606:4700::1111]:8443/", "2606:4700::1111", "[2606:4700::1111]:8443"),
    ],
)
def test_a_host_that_is_an_address_is_seen_to_be_one(url: str, address: str, authority: str) -> None:
    target = Target.parse(url)
    assert target.address == ipaddress.ip_address(address)
    assert target.authority == authority


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="aZ0x127.。①@:/\\[]%#?-_é\u00ad\u200d\ud800 \n", max_size=24))
def test_no_text_means_two_things(text: str) -> None:
    try:
        target = Target.parse(f"http://{text}")
    except InvalidParameter:
        return
    assert target.url.isascii()
    assert Target.parse(target.url) == target
    assert urlsplit(target.url).hostname == target.host


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254"),
        *("169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.192", "192.0.2.1", "192.88.99.1"),
        *("192.168.0.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1"),
        *("240.0.0.1", "255.255.255.255", "168.63.129.16"),
        *("::", "::1", "::127.0.0.1", "::ffff:10.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1", "64:ff9b::808:808"),
        *("64:ff9b:1::a00:1", "100::1", "2001::1", "2001:0:7f00:1::", "2001:2::1", "2001:10::1", "2001:db8::1"),
        *("2002:7f00:1::", "2002:808:808::1", "3fff::1", "3ffe::1", "4000::1", "5f00::1", "fc00::1", "fd00:ec2::254"),
        *("fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "ff0e::1"),
    ],
)
def test_special_addresses_are_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        *("1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.1", "100.63.255.255", "100.128.0.1", "172.32.0.1"),
        *("192.167.255.255", "223.255.255.255", "2606:4700::1111", "2001:4860:4860::8888", "2a00:1450:4001:81b::200e"),
    ],
)
def test_other_addresses_are(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))
    assert not is_lan(ipaddress.ip_address(address))


def test_the_lan_is_neither_the_machine_itself_nor_where_clouds_keep_credentials() -> None:
    inside = ("10.0.0.1", "172.16.5.4", "192.168.1.20", "fd12:3456::1")
    outside = ("127.0.0.1", "::1", "169.254.169.254", "fe80::1", "100.64.0.1", "0.0.0.0", "fd00:ec2::254")
    assert all(is_lan(ipaddress.ip_address(text)) for text in inside)
    assert not any(is_lan(ipaddress.ip_address(text)) for text in outside)


@pytest.mark.parametrize(
    ("text", "name", "network", "port"),
    [
        ("NAS.lan.", "nas.lan", None, None),
        ("nas:8080", "nas", None, 8080),
        ("192.168.1.20", None, "192.168.1.20/32", None),
        ("192.168.1.20:8080", None, "192.168.1.20/32", 8080),
        ("192.168.1.0/24", None, "192.168.1.0/24", None),
        ("192.168.1.0/24:81", None, "192.168.1.0/24", 81),
        ("fd00::/8", None, "fd00::/8", None),
        ("[fd00::7]", None, "fd00::7/128", None),
        ("[fd00::/8]:8080", None, "fd00::/8", 8080),
    ],
)
def test_entries_of_the_allow_list(text: str, name: str | None, network: str | None, port: int | None) -> None:
    assert Allowed.parse(text) == Allowed(name, ipaddress.ip_network(network) if network else None, port)


@pytest.mark.parametrize(
    "text",
    [
        *("", "http://nas.lan", "nas.lan/x", "*.lan", "nas lan", "192.168.1.7/24", "10.0.0.0/33", "300.1.1.1"),
        *("0177.0.0.1", "127.0.0.1.", "nas:0", "nas:65536", "nas:", "[::1", "::1::", "user@nas"),
    ],
)
def test_a_wrong_entry_is_named(text: str) -> None:
    with pytest.raises(ConfigError, match=r"url_fetch\.allow") as caught:
        Allowed.parse(text)
    assert repr(text) in str(caught.value)
