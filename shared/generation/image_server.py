"""Images behind HTTP: any server that speaks OpenAI's protocol for them."""

import base64
import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from PIL import Image

from shared.captions.engines.patience import Patience, Refusal
from shared.errors import RequestError, RunError
from shared.generation.generator import Request
from shared.generation.placement import Placement

SECONDS = 300  # for one image


class ImageServer:
    """A model behind `url`, asked for `at_once` images at a time; in the place of a Generator. Its seeds are its own."""

    placement = Placement(True, "gpu")  # of its, not ours

    def __init__(self, url: str, model: str, request: Request, key_variable: str, at_once: int):
        self.url, self.model, self.request, self.key_variable = url.rstrip("/"), model, request, key_variable
        self.pool = ThreadPoolExecutor(at_once, thread_name_prefix="request")
        self.client: Any = None

    def load(self) -> None:
        """Raises RunError where there is no key."""
        import httpx

        key = os.environ.get(self.key_variable, "") if self.key_variable else ""
        if self.key_variable and not key:
            raise RunError(
                f"{self.key_variable} is not set; the server at {self.url} needs a key: export {self.key_variable}=..."
            )
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        timeout = httpx.Timeout(SECONDS, connect=10)
        self.client = httpx.Client(base_url=self.url + "/", headers=headers, timeout=timeout)
        self.patience = Patience(self.client, self.url, key)

    def encode(self, prompts: Sequence[str]) -> list[dict[str, Any]]:
        return [{"prompt": prompt} for prompt in prompts]

    def draw(self, encoded: Sequence[dict[str, Any]], seeds: Sequence[int]) -> list[np.ndarray | Exception]:
        """(height, width, 3) in 0 to 1 of each, or why there is none. Raises RunError where no other would fare better."""
        return list(self.pool.map(self._ask, [one["prompt"] for one in encoded]))

    def close(self) -> None:
        client, self.client = self.client, None
        if client is not None:
            self.patience.hurried.set()
            self.pool.shutdown(wait=False, cancel_futures=True)
            client.close()

    def _ask(self, prompt: str) -> np.ndarray | Exception:
        size = f"{self.request.width}x{self.request.height}"
        body: dict[str, Any] = {"model": self.model, "prompt": prompt, "n": 1, "size": size}
        if self.model.startswith("dall-e"):
            body["response_format"] = "b64_json"  # which the later ones always give
        try:
            return self.patience.post("images/generations", body, read_image)
        except RequestError as error:
            return error


def read_image(said: Any) -> np.ndarray:
    """The first image of an answer. Raises Refusal for what is none."""
    try:
        data = base64.b64decode(said["data"][0]["b64_json"])
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), dtype=np.float32) / 255
    except (LookupError, TypeError, ValueError, OSError):
        raise Refusal(0, f"the answer holds no image: {str(said)[:200]}") from None
