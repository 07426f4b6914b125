import email.utils
import threading
import time

import pytest

from shared.errors import DownloadError
from shared.web import fetcher as module
from shared.web.addresses import PublicResolver
from shared.web.fetcher import Fetcher, LetGo, TransferLimits, refusing_word
from shared.web.waiting import seconds_to_wait
from tests.web_server import WebServer, slowly


@pytest.fixture
def fetch(monkeypatch):
    """Ask for addresses and wait for all; returns what became of each, by its place."""
    made = []
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.01)

    def run(*addresses, **limits):
        made.append(Fetcher(TransferLimits(**{"allow_private": True, **limits}), lambda data: data))
        for place, address in enumerate(addresses):
            made[-1].ask(place, address)
        found = {}
        while made[-1].in_flight:
            found.update(made[-1].finished(5.0))
        return [found[place] for place in range(len(addresses))]

    yield run
    for one in made:
        one.close()
        one.close()


def test_many_at_once_and_no_more_from_one_host_than_it_likes(fetch):
    with WebServer(lambda path: slowly(0.02, (200, path.encode()))) as server:
        found = fetch(*(f"{server.url}/{number}" for number in range(60)), per_host=3)
        assert found == [f"/{number}".encode() for number in range(60)]
        assert server.most == 3
        fetch(*(f"{server.url}/{number}" for number in range(60)), per_host=60, transfers=5)
        assert server.most == 5
    assert all("downloader" in headers["User-Agent"] for headers in server.headers)


@pytest.mark.parametrize("status", [500, 502, 503, 429, 408])
def test_a_busy_server_is_asked_again(fetch, status):
    answers = iter([(status, b""), (status, b""), (200, b"here")])
    with WebServer(lambda path: next(answers)) as server:
        assert fetch(server.url) == [b"here"]


@pytest.mark.parametrize(("status", "is_final"), [(404, True), (410, True), (403, False), (401, False), (451, False)])
def test_a_refusal_is_not_and_is_final_only_where_the_file_is_gone(fetch, status, is_final):
    with WebServer(lambda path: (status, b"")) as server:
        [error] = fetch(server.url)
    assert isinstance(error, DownloadError) and (error.http_status, error.is_final) == (status, is_final)
    assert f"{status}" in str(error) and sum(server.asked.values()) == 1


def test_a_server_that_stays_busy_is_the_reason(fetch):
    with WebServer(lambda path: (503, b"")) as server:
        [error] = fetch(server.url, tries=2)
    assert error.http_status == 503 and not error.is_final and sum(server.asked.values()) == 2


def test_a_server_that_asks_to_wait_long_is_left_to_the_next_run(fetch):
    with WebServer(lambda path: (429, b"", {"Retry-After": "3600"})) as server:
        [error] = fetch(server.url)
    assert error.http_status == 429 and sum(server.asked.values()) == 1


def test_a_server_that_asks_to_wait_a_little_is_asked_then(fetch):
    times = []

    def script(path):
        times.append(time.monotonic())
        return (429, b"", {"Retry-After": "1"}) if len(times) == 1 else (200, b"here")

    with WebServer(script) as server:
        assert fetch(server.url) == [b"here"]
    assert times[1] - times[0] >= 1


def test_a_file_that_is_cut_off_is_asked_for_again(fetch):
    answers = iter([(200, b"half", {"Content-Length": "8"}), (200, b"complete")])
    with WebServer(lambda path: next(answers)) as server:
        assert fetch(server.url) == [b"complete"]


def test_a_deadline_holds_for_the_whole_transfer(fetch):
    release = threading.Event()

    def script(path):
        release.wait(20)
        return 200, b"late"

    with WebServer(script) as server:
        [error] = fetch(server.url, seconds=0.3, tries=2)
        release.set()
    assert "was not here after 0.3 seconds" in str(error) and sum(server.asked.values()) == 2


@pytest.mark.parametrize("headers", [{}, {"Content-Length": None, "Connection": "close"}])
def test_a_file_that_is_too_large_is_not_taken(fetch, headers):
    with WebServer(lambda path: (200, b"x" * 300_000, headers)) as server:
        [error] = fetch(server.url, max_bytes=100_000)
        assert "more than max_bytes (100,000)" in str(error)
        assert fetch(server.url, max_bytes=300_000) == [b"x" * 300_000]


def test_redirects_are_followed_and_end(fetch):
    def script(path):
        number = int(path[1:])
        return (302, b"", {"Location": f"/{number - 1}"}) if number else (200, b"here")

    with WebServer(script) as server:
        assert fetch(f"{server.url}/10") == [b"here"]
        [error] = fetch(f"{server.url}/11")
    assert "more than 10 redirects" in str(error)


@pytest.mark.parametrize("place", ["http://169.254.169.254/secret", "file:///etc/passwd", "http://localhost:1/"])
def test_a_redirect_leads_to_no_private_address(fetch, monkeypatch, place):
    # The server itself stands for one on the internet.
    monkeypatch.setattr("shared.web.addresses.is_public", lambda address: address == "127.0.0.1")

    async def resolve(self, host, port=0, family=0):
        from shared.web.addresses import NotPublic

        raise NotPublic(f"{host} is 10.0.0.1, which is not a public address")

    monkeypatch.setattr(PublicResolver, "resolve", resolve)
    with WebServer(lambda path: (302, b"", {"Location": place})) as server:
        [error] = fetch(server.url, allow_private=False)
    assert "not a public address" in str(error) or "not an address of the web" in str(error)


def test_a_name_that_changes_its_address_is_looked_at_when_it_is_connected_to(fetch):
    with WebServer() as server:
        [error] = fetch(server.url.replace("127.0.0.1", "localhost"), allow_private=False)
    assert "localhost is" in str(error) and not server.asked


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ([], ""), (["all"], ""), (["noai"], "noai"), (["nofollow, NOINDEX"], "noindex"), (["none"], "none"),
        (["googlebot: noindex"], ""), (["*: noai"], "noai"), (["max-snippet:5, noimageai"], "noimageai"),
    ],
)  # fmt: skip
def test_what_a_site_says_of_robots(values, word):
    assert refusing_word(values) == word


def test_a_site_that_wants_no_robots_is_heeded_unless_switched_off(fetch):
    with WebServer(lambda path: (200, b"here", {"X-Robots-Tag": "noai"})) as server:
        [error] = fetch(server.url)
        assert "says noai in its X-Robots-Tag" in str(error) and not error.is_final
        assert fetch(server.url, heed_robots=False) == [b"here"]


def test_a_stop_lets_go_of_what_waits_and_finishes_what_is_under_way(fetch):
    with WebServer(lambda path: slowly(0.3, (200, b"here"))) as server:
        fetcher = Fetcher(TransferLimits(allow_private=True, per_host=2), lambda data: data)
        for place in range(20):
            fetcher.ask(place, f"{server.url}/{place}")
        while server.most < 2:
            time.sleep(0.01)
        fetcher.hurry()
        found = {}
        while fetcher.in_flight:
            found.update(fetcher.finished(5.0))
        fetcher.close()
    kinds = [type(outcome) for outcome in found.values()]
    assert kinds.count(bytes) == sum(server.asked.values()) >= 2 and kinds.count(LetGo) == 20 - kinds.count(bytes)


def test_nothing_is_kept_of_hosts_that_are_done_with():
    with WebServer() as server:
        fetcher = Fetcher(TransferLimits(allow_private=True), lambda data: data)
        fetcher.ask(0, server.url)
        while fetcher.in_flight:
            fetcher.finished(5.0)
        fetcher.close()
    assert fetcher.hosts == {} and fetcher.tasks == set()


def test_seconds_to_wait_are_a_number_or_a_date():
    assert (seconds_to_wait("3"), seconds_to_wait(""), seconds_to_wait("soon"), seconds_to_wait("-3")) == (3, 0, 0, 0)
    assert 0 < seconds_to_wait(email.utils.formatdate(time.time() + 100, usegmt=True)) <= 100
