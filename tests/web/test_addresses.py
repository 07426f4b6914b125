import asyncio

import pytest

from shared.errors import DownloadError
from shared.web.addresses import NotPublic, PublicResolver, checked_url, is_public


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "2606:2800:220:1::1", "::ffff:93.184.216.34", "64:ff9b::5db8:d822"]
)
def test_the_public_internet(address):
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "192.0.2.1", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:127.0.0.1",
        "64:ff9b::7f00:1", "2002:7f00:1::", "no address",
    ],
)  # fmt: skip
def test_all_that_is_not_of_it(address):
    assert not is_public(address)


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("file:///etc/hostname", "it begins with http:// or https://"),
        ("ftp://example.org/a.jpg", "it begins with http:// or https://"),
        ("photo.jpg", "it begins with http:// or https://"),
        ("http:///a.jpg", "is not an address"),
        ("http://[::1/a.jpg", "is not an address"),
        (None, "None is not an address"),
        (3.5, "3.5 is not an address"),
        ("http://127.0.0.1/a.jpg", "127.0.0.1 is not a public address; allow_private lets it be asked"),
        ("http://[::ffff:10.0.0.1]/a.jpg", "is not a public address"),
    ],
)
def test_what_is_no_address_of_the_web_is_said(address, sentence):
    with pytest.raises(DownloadError) as error:
        checked_url(address, allow_private=False)
    assert sentence in str(error.value) and not error.value.is_final


def test_the_addresses_of_a_name_are_looked_at_whatever_it_is_called(monkeypatch):
    async def resolve(name):
        resolver = PublicResolver()
        return [entry["host"] for entry in await resolver.resolve(name, 80)]

    with pytest.raises(NotPublic, match=r"localhost is \S+, which is not a public address"):
        asyncio.run(resolve("localhost"))
    with pytest.raises(
        NotPublic, match=r"2130706433 is 127\.0\.0\.1"
    ):  # the same in one number, which name servers understand
        asyncio.run(resolve("2130706433"))
