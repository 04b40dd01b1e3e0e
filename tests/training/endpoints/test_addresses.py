"""Addresses within a network are refused, however they are written and wherever they come from."""

import ipaddress
import socket
from typing import Any

import pytest

from tests.openai_server import openai_server, status
from training.endpoints.addresses import address_problem, resolve, url_problem
from training.endpoints.client import Client, Server
from training.endpoints.errors import AddressRefused, Unreachable
from training.endpoints.protocol import Ask

ASK = Ask(messages=[{"role": "user", "content": "Hello?"}], max_new_tokens=4)
PRIVATE = (
    "127.0.0.1",
    "127.8.8.8",
    "10.0.0.1",
    "172.16.3.4",
    "192.168.1.1",
    "100.64.0.1",
    "198.18.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::1",
    "fc00::1",
    "fec0::1",
    "2001:db8::1",
    "::ffff:10.0.0.1",
    "::ffff:127.0.0.1",
    "::10.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
)
NEVER = (
    "169.254.169.254",
    "169.254.0.1",
    "fe80::1",
    "fd00:ec2::254",
    "100.100.100.200",
    "192.0.0.192",
    "168.63.129.16",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "0.0.0.0",  # noqa: S104
    "::",
    "224.0.0.1",
    "ff02::1",
)
PUBLIC = ("8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "64:ff9b::808:808")


@pytest.mark.parametrize("text", PRIVATE)
def test_private_addresses_need_leave(text: str):
    address = ipaddress.ip_address(text)
    problem = address_problem(address, allows_private=False)
    assert problem is not None
    assert "private" in problem
    assert address_problem(address, allows_private=True) is None


@pytest.mark.parametrize("text", NEVER)
def test_some_addresses_are_never_asked(text: str):
    address = ipaddress.ip_address(text)
    assert address_problem(address, allows_private=False)
    assert address_problem(address, allows_private=True)


@pytest.mark.parametrize("text", PUBLIC)
def test_public_addresses_are_asked(text: str):
    assert address_problem(ipaddress.ip_address(text), allows_private=False) is None


@pytest.mark.parametrize(
    "url",
    [
        "",
        "models.example.org/v1",
        "ftp://models.example.org/v1",
        "file:///etc/passwd",
        "https:///v1",
        "https://user:secret@models.example.org/v1",
        "https://models.example.org@127.0.0.1/v1",
        "https://models.example.org/v1?key=secret",
        "https://models.example.org/v1#part",
        "https://models.example.org:99999/v1",
        "https://models.example.org:0/v1",
        "https://models.example.org/v1\r\nHost: other",
        "https://models.example.org\\@127.0.0.1/v1",
        "https://[::1/v1",
        "http://models.example.org/v1",
        "https://127.0.0.1/v1",
        "https://[::1]:8000/v1",
        "https://[::ffff:127.0.0.1]/v1",
        "https://2130706433/v1",
        "https://0x7f000001/v1",
        "https://0177.0.0.1/v1",
        "https://127.1/v1",
        "https://169.254.169.254/latest",
        "https://" + "a" * 70 + ".example.org/v1",
    ],
)
def test_urls_that_are_not_taken(url: str):
    assert url_problem(url, allows_private=False)
    with pytest.raises(AddressRefused):
        Client(Server(base_url=url, model="tiny"))


@pytest.mark.parametrize(
    "url",
    ["https://models.example.org/v1", "https://8.8.8.8:8443/api/v1/", "https://bücher.example/v1"],
)
def test_urls_that_are_taken(url: str):
    assert url_problem(url, allows_private=False) is None


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000/v1", "http://localhost:8000/v1", "http://[::1]:8000/v1"]
)
def test_urls_taken_with_leave_alone(url: str):
    assert url_problem(url, allows_private=False)
    assert url_problem(url, allows_private=True) is None


@pytest.mark.parametrize("host", ["localhost", "127.1", "2130706433", "0x7f.1", "0177.0.0.1"])
def test_whatever_a_name_looks_like_its_address_is_judged(host: str):
    with pytest.raises(AddressRefused):
        resolve(host, 80, allows_private=False)


def _leads_to(*found: str) -> Any:
    def look_up(host: str, port: int, **_: Any) -> list[Any]:
        return [(0, 0, 0, "", (address, port)) for address in found]

    return look_up


def test_a_name_that_leads_within_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(socket, "getaddrinfo", _leads_to("10.1.2.3"))
    given = Server(base_url="https://models.example.org/v1", model="tiny")
    with Client(given) as client, pytest.raises(AddressRefused, match=r"10\.1\.2\.3"):
        client.reply(ASK)


def test_a_private_address_beside_a_public_one_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(socket, "getaddrinfo", _leads_to("8.8.8.8", "127.0.0.1"))
    with pytest.raises(AddressRefused):
        resolve("models.example.org", 443, allows_private=False)


def test_an_unknown_name_is_said_so(monkeypatch: pytest.MonkeyPatch):
    def nobody(*_: Any, **__: Any) -> None:
        raise socket.gaierror("unknown")

    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    with pytest.raises(Unreachable, match=r"models\.example\.org"):
        resolve("models.example.org", 443, allows_private=False)


def test_the_connection_goes_to_the_address_that_was_judged(monkeypatch: pytest.MonkeyPatch):
    """Whoever answers the second question otherwise (DNS rebinding) is not asked a second one."""
    asked = []

    def once(host: str, port: int, *others: Any, **named: Any) -> Any:
        asked.append(host)
        if host != "models.example.org":
            return real(host, port, *others, **named)
        assert asked.count(host) == 1
        return [(0, 0, 0, "", ("127.0.0.1", port))]

    real = socket.getaddrinfo
    with openai_server() as server:
        monkeypatch.setattr(socket, "getaddrinfo", once)
        url = f"http://models.example.org:{server.port}/v1"
        with Client(Server(base_url=url, model="tiny", allows_private=True)) as client:
            assert client.reply(ASK).text
    assert asked[0] == "models.example.org"


def test_redirects_lead_nowhere():
    with openai_server() as within, openai_server() as server:
        server.always = status(302, Location=f"{within.url}/chat/completions")
        given = Server(base_url=server.url, model="tiny", allows_private=True)
        with Client(given) as client, pytest.raises(Exception, match="base URL"):
            client.reply(ASK)
        assert within.asked == []


def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with openai_server() as server:
        given = Server(base_url=server.url, model="tiny", allows_private=True, retries=0)
        with Client(given) as client:
            assert client.reply(ASK).text
