"""Images behind HTTP: a service that draws them, asked by the protocol that it speaks."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from shared.captions.engines.patience import Patience, read_key
from shared.errors import RequestError
from shared.generation.generator import Request
from shared.generation.image_protocols import PROTOCOLS, SECONDS, Protocol, ProtocolName
from shared.generation.placement import Placement


class ImageServer:
    """A model behind `url`, asked for `at_once` images at a time; in the place of a Generator."""

    placement = Placement(True, "gpu")  # of its, not ours

    def __init__(
        self, url: str, model: str, request: Request, key_variable: str, at_once: int, protocol: ProtocolName = "openai"
    ):
        self.kind = PROTOCOLS[protocol]
        self.url, self.model, self.request = (url or self.kind.address).rstrip("/"), model, request
        self.key_variable = key_variable
        self.pool = ThreadPoolExecutor(at_once, thread_name_prefix="request")
        self.protocol: Protocol | None = None

    def load(self) -> None:
        """Raises RunError where there is no key."""
        import httpx

        key = read_key(self.key_variable, self.url)
        timeout = httpx.Timeout(SECONDS, connect=10)
        client = httpx.Client(base_url=self.url + "/", headers=self.kind.headers(key), timeout=timeout)
        files = Patience(httpx.Client(timeout=timeout, follow_redirects=True), "the address of an image")
        self.protocol = self.kind(Patience(client, self.url, key), files, self.model, self.request, key)

    def encode(self, prompts: Sequence[str]) -> list[dict[str, Any]]:
        return [{"prompt": prompt} for prompt in prompts]

    def draw(self, encoded: Sequence[dict[str, Any]], seeds: Sequence[int]) -> list[np.ndarray | Exception]:
        """(height, width, 3) in 0 to 1 of each, or why there is none. Raises RunError where no other would fare better."""
        return list(self.pool.map(self._ask, [one["prompt"] for one in encoded], seeds))

    def close(self) -> None:
        protocol, self.protocol = self.protocol, None
        if protocol is not None:
            self.pool.shutdown(wait=False, cancel_futures=True)
            for patience in (protocol.server, protocol.files):
                patience.hurried.set()
                patience.client.close()

    def _ask(self, prompt: str, seed: int) -> np.ndarray | Exception:
        assert self.protocol is not None
        try:
            return self.protocol.draw(prompt, seed)
        except RequestError as error:
            return error
