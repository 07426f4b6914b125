"""Many files from the web at once: each within its deadline and its size, no host asked more than it likes, asked again where
that helps."""

import asyncio
import queue
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import aiohttp
from yarl import URL

from shared.errors import DownloadError
from shared.web.addresses import NotPublic, PublicResolver, checked_url
from shared.web.waiting import FIRST_PAUSE, LONGEST_PAUSE, PASSING, seconds_to_wait

GONE = {404, 410}
REDIRECTS = {301, 302, 303, 307, 308}
MOST_REDIRECTS = 10
REFUSING = {"noai", "noimageai", "noindex", "noimageindex", "none"}  # words of X-Robots-Tag
CHUNK = 1 << 16


@dataclass(frozen=True)
class TransferLimits:
    """What is asked at once, and of each file."""

    transfers: int = 64
    per_host: int = 8
    seconds: float = 30.0  # for the whole of a transfer, redirects included
    max_bytes: int = 64 << 20
    tries: int = 3
    allow_private: bool = False
    heed_robots: bool = True
    user_agent: str = "Mozilla/5.0 (compatible; image dataset downloader)"


class LetGo(DownloadError):
    """Instead of a file: the worker is to stop, and it was not worth waiting. Nobody's failure."""


class Host:
    """What all transfers from one host share; it is forgotten when there are none."""

    def __init__(self, at_once: int):
        self.gate = asyncio.Semaphore(at_once)
        self.users = 0
        self.resume_at = 0.0  # it asked to wait


class Fetcher:
    """Runs transfers in a thread of its own. `digest(data)` is called on threads with what has come, and its result handed out.

    `ask(token, address)` returns at once; `finished(seconds)` gives (token, result or exception) as they come.
    """

    def __init__(self, limits: TransferLimits, digest: Callable[[bytes], Any], threads: int = 1):
        self.limits, self.digest = limits, digest
        self.results: queue.SimpleQueue[tuple[Any, Any]] = queue.SimpleQueue()
        self.in_flight = 0
        self.is_hurried = False
        self.hosts: dict[tuple[str | None, int | None], Host] = {}
        self.pool = ThreadPoolExecutor(threads, thread_name_prefix="digest")
        self.loop = asyncio.new_event_loop()
        self.tasks: set[asyncio.Task] = set()
        self.thread = threading.Thread(target=self._run, name="fetch", daemon=True)
        self.thread.start()
        asyncio.run_coroutine_threadsafe(self._open(), self.loop).result()

    def ask(self, token: Any, address: Any) -> None:
        self.in_flight += 1
        self.loop.call_soon_threadsafe(self._start, token, address)

    def finished(self, seconds: float) -> list[tuple[Any, Any]]:
        """What has ended since; waits at most so long for the first."""
        ready = []
        try:
            ready.append(self.results.get(timeout=seconds))
            while True:
                ready.append(self.results.get_nowait())
        except queue.Empty:
            pass
        self.in_flight -= len(ready)
        return ready

    def hurry(self) -> None:
        """What is under way is finished; nothing waits, begins or is tried again: it ends with LetGo."""
        self.is_hurried = True

    def close(self) -> None:
        if self.loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self._close(), self.loop).result()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()
        self.pool.shutdown(cancel_futures=True)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    async def _open(self) -> None:
        self.slots = asyncio.Semaphore(self.limits.transfers)
        resolver = None if self.limits.allow_private else PublicResolver()
        connector = aiohttp.TCPConnector(limit=0, resolver=resolver, ttl_dns_cache=30)
        self.session = aiohttp.ClientSession(
            connector=connector,
            headers={"User-Agent": self.limits.user_agent, "Accept": "image/*,*/*;q=0.5"},
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),  # ours is around the whole transfer
        )

    async def _close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.session.close()

    def _start(self, token: Any, address: Any) -> None:
        task = self.loop.create_task(self._settle(token, address))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _settle(self, token: Any, address: Any) -> None:
        try:
            data = await self._patiently(address)
            found = await self.loop.run_in_executor(self.pool, self.digest, data)
        except Exception as error:
            found = error
        self.results.put((token, found))

    async def _patiently(self, address: Any) -> bytes:
        url = checked_url(address, self.limits.allow_private)
        for attempt in range(self.limits.tries):
            try:
                return await self._whole(url)
            except DownloadError as error:
                is_last = attempt + 1 == self.limits.tries
                if is_last or not error.is_passing or isinstance(error, LetGo) or error.retry_after > LONGEST_PAUSE:
                    raise
                pause = error.retry_after or min(LONGEST_PAUSE, FIRST_PAUSE * 2**attempt) * random.uniform(0.5, 1.0)
            await self._sleep(pause)
        raise AssertionError("a try ends with a file or an error")

    async def _sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self.is_hurried:
                raise LetGo("nobody waits for this file any more")
            await asyncio.sleep(min(left, 0.2))

    async def _whole(self, url: URL) -> bytes:
        """One try, hop by hop: each host's own gate is passed, and each address checked."""
        deadline = Deadline(self.limits.seconds)
        for _ in range(MOST_REDIRECTS + 1):
            host = self.hosts.setdefault((url.host, url.port), Host(self.limits.per_host))
            host.users += 1
            try:
                async with host.gate:
                    await self._sleep(host.resume_at - time.monotonic())  # of the others, who do not wait with it
                    async with self.slots:
                        if self.is_hurried:
                            raise LetGo("nobody waits for this file any more")
                        found = await deadline.within(self._hop(url, host), url)
            finally:
                host.users -= 1
                if not host.users:
                    self.hosts.pop((url.host, url.port), None)
            if isinstance(found, bytes):
                return found
            url = checked_url(found, self.limits.allow_private)
        raise DownloadError(f"{url} is behind more than {MOST_REDIRECTS} redirects")

    async def _hop(self, url: URL, host: Host) -> bytes | URL:
        """The file, or where the host says that it is."""
        try:
            async with self.session.get(url, allow_redirects=False) as response:
                if response.status in REDIRECTS and (place := response.headers.get("Location")):
                    return url.join(URL(place))
                if response.status != 200:
                    raise refused(url, response, host)
                if self.limits.heed_robots and (word := refusing_word(response.headers.getall("X-Robots-Tag", []))):
                    raise DownloadError(f"{url} says {word} in its X-Robots-Tag; heed_robots: false asks no more")
                return await self._body(url, response)
        except NotPublic as error:
            raise DownloadError(str(error)) from None
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, NotPublic):
                raise DownloadError(str(error.os_error)) from None
            raise DownloadError(f"{url}: {error.os_error or error}", is_passing=True) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise DownloadError(f"{url}: {type(error).__name__}: {error}", is_passing=True) from None

    async def _body(self, url: URL, response: aiohttp.ClientResponse) -> bytes:
        most = self.limits.max_bytes
        if (response.content_length or 0) > most:
            raise DownloadError(f"{url} has {response.content_length:,} bytes, more than max_bytes ({most:,})")
        parts, size = [], 0
        async for part in response.content.iter_chunked(CHUNK):
            parts.append(part)
            size += len(part)
            if size > most:
                raise DownloadError(f"{url} has more than max_bytes ({most:,})")
        return b"".join(parts)


class Deadline:
    """Seconds for all hops of a transfer together, while none waits for its turn."""

    def __init__(self, seconds: float):
        self.seconds, self.left = seconds, seconds

    async def within(self, hop: Any, url: URL) -> Any:
        started = time.monotonic()
        try:
            return await asyncio.wait_for(hop, self.left)
        except asyncio.TimeoutError:
            raise DownloadError(f"{url} was not here after {self.seconds:g} seconds", is_passing=True) from None
        finally:
            self.left = max(0.0, self.left - (time.monotonic() - started))


def refused(url: URL, response: aiohttp.ClientResponse, host: Host) -> DownloadError:
    pause = seconds_to_wait(response.headers.get("Retry-After", ""))
    if pause:
        host.resume_at = time.monotonic() + min(pause, LONGEST_PAUSE)
    return DownloadError(
        f"{url}: {response.status} {response.reason}", http_status=response.status, is_final=response.status in GONE,
        is_passing=response.status in PASSING, retry_after=pause,
    )  # fmt: skip


def refusing_word(values: list[str]) -> str:
    """The word of an X-Robots-Tag, said to all, by which a site wants its pictures left out; nothing where there is none."""
    for value in values:
        for part in value.lower().split(","):
            name, colon, rest = part.strip().partition(":")
            word = part.strip() if not colon else rest.strip() if name.strip() in ("*", "robots") else ""
            if word in REFUSING:
                return word
    return ""
