"""What services that draw images want to be asked: OpenAI's protocol, and those of Black Forest Labs, ModelsLab and Hugging Face.

Sources: platform.openai.com/docs/api-reference/images, docs.bfl.ai, docs.modelslab.com, huggingface.co/docs/inference-providers.
"""

import base64
import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from PIL import Image

from shared.captions.engines.patience import Patience, Refusal
from shared.errors import RequestError, RunError
from shared.generation.generator import Request

SECONDS = 300.0  # for one image
POLLING_SECONDS = 1.0  # at an image that is being drawn
AT_FAULT = 400  # the status of what a service says with status 200

ProtocolName = Literal["openai", "bfl", "modelslab", "huggingface"]


@dataclass
class Protocol:
    """One service's way: `server` is asked with the key, `files` fetches finished images without it."""

    server: Patience
    files: Patience
    model: str
    request: Request
    key: str
    polling_seconds: float = POLLING_SECONDS

    address: ClassVar[str] = ""
    takes: ClassVar[frozenset[str]] = frozenset()  # options beside prompt, width and height

    @staticmethod
    def headers(key: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {key}"} if key else {}

    def draw(self, prompt: str, seed: int) -> np.ndarray:
        """(height, width, 3) in 0 to 1. Raises RequestError where this prompt is at fault, RunError where no other would fare
        better, Abandoned when nobody waits any more."""
        raise NotImplementedError

    def wait_for(self, look: Callable[[], np.ndarray | None]) -> np.ndarray:
        """Look again and again until there is an image."""
        end = time.monotonic() + SECONDS
        while (image := look()) is None:
            if time.monotonic() > end:
                raise RequestError(f"no image after {SECONDS:.0f} seconds")
            self.server.hurried.wait(self.polling_seconds)
        return image

    def fetch(self, address: Any) -> np.ndarray:
        if not isinstance(address, str) or not address.startswith(("http://", "https://")):
            raise RequestError(f"the answer names no image: {str(address)[:200]}")
        try:
            return self.files.get(address, read_image, as_json=False)
        except RunError as error:  # of this image's address, which says nothing of the others
            raise RequestError(f"what was drawn could not be fetched: {error}") from None


class OpenAI(Protocol):
    """Also of any server that speaks it; seeds are its own."""

    address = "https://api.openai.com/v1"

    def draw(self, prompt: str, seed: int) -> np.ndarray:
        size = f"{self.request.width}x{self.request.height}"
        body: dict[str, Any] = {"model": self.model, "prompt": prompt, "n": 1, "size": size}
        if self.model.startswith("dall-e"):
            body["response_format"] = "b64_json"  # which the later ones always give
        return self.server.post("images/generations", body, read_data)


class BlackForestLabs(Protocol):
    """The model is the end of the address, as in flux-2-pro; an image is asked for, and looked for until it is ready."""

    address = "https://api.bfl.ai/v1"
    takes = frozenset({"seed", "guidance_scale"})

    @staticmethod
    def headers(key: str) -> dict[str, str]:
        return {"x-key": key} if key else {}

    def draw(self, prompt: str, seed: int) -> np.ndarray:
        body = {
            "prompt": prompt, "width": self.request.width, "height": self.request.height, "seed": seed,
            "guidance": self.request.guidance_scale, "output_format": "png",
        }  # fmt: skip
        place = self.server.post(self.model, without_none(body), lambda said: text_of_field(said, "polling_url"))
        return self.wait_for(lambda: self._look(place))

    def _look(self, place: str) -> np.ndarray | None:
        said = self.server.get(place, dict)
        state = str(said.get("status"))
        if state == "Ready":
            return self.fetch((said.get("result") or {}).get("sample"))
        if state in ("Pending", "Queued", "Processing"):
            return None
        raise RequestError(f"the server draws no image of this one ({state}{reason_in(said.get('details'))})")


class ModelsLab(Protocol):
    """The key is in the body; what is not drawn at once is fetched later. Errors have status 200 and a message."""

    address = "https://modelslab.com/api/v6"
    takes = frozenset({"seed", "guidance_scale", "negative_prompt"})

    @staticmethod
    def headers(key: str) -> dict[str, str]:
        return {}

    def draw(self, prompt: str, seed: int) -> np.ndarray:
        body = {
            "key": self.key, "model_id": self.model, "prompt": prompt, "width": self.request.width,
            "height": self.request.height, "samples": 1, "seed": seed, "guidance_scale": self.request.guidance_scale,
            "negative_prompt": self.request.negative_prompt or None,
        }  # fmt: skip
        said = self.server.post("images/text2img", without_none(body), self._read)
        if said["status"] == "success":
            return self.fetch(first_of(said.get("output")))
        return self.wait_for(lambda: self._look(said.get("fetch_result")))

    def _look(self, place: Any) -> np.ndarray | None:
        if not isinstance(place, str):
            raise RequestError("the answer does not say where the image will be")
        said = self.server.post(place, {"key": self.key}, self._read)
        return self.fetch(first_of(said.get("output"))) if said["status"] == "success" else None

    @staticmethod
    def _read(said: Any) -> dict:
        state = said.get("status") if isinstance(said, dict) else None
        if state in ("success", "processing"):
            return said
        message = str(said.get("message") or said.get("messege") or said) if isinstance(said, dict) else str(said)
        status = AT_FAULT
        if "limit" in message.lower():
            status = 429
        elif "key" in message.lower():
            status = 401
        raise Refusal(status, message[:300])


class HuggingFace(Protocol):
    """Inference providers: the answer is the image's file."""

    address = "https://router.huggingface.co/hf-inference/models"
    takes = frozenset({"seed", "guidance_scale", "negative_prompt"})

    def draw(self, prompt: str, seed: int) -> np.ndarray:
        given = {
            "width": self.request.width, "height": self.request.height, "seed": seed,
            "guidance_scale": self.request.guidance_scale, "negative_prompt": self.request.negative_prompt or None,
        }  # fmt: skip
        body = {"inputs": prompt, "parameters": without_none(given)}
        return self.server.post(self.model, body, read_image, as_json=False)


PROTOCOLS: dict[str, type[Protocol]] = {
    "openai": OpenAI,
    "bfl": BlackForestLabs,
    "modelslab": ModelsLab,
    "huggingface": HuggingFace,
}


def read_image(data: bytes) -> np.ndarray:
    """Raises Refusal for what is no image."""
    try:
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), dtype=np.float32) / 255
    except (OSError, ValueError, Image.DecompressionBombError):
        raise Refusal(0, f"the answer holds no image: {data[:200]!r}") from None


def read_data(said: Any) -> np.ndarray:
    """The first image of OpenAI's answer. Raises Refusal for what is none."""
    try:
        return read_image(base64.b64decode(said["data"][0]["b64_json"]))
    except (LookupError, TypeError, ValueError):
        raise Refusal(0, f"the answer holds no image: {str(said)[:200]}") from None


def text_of_field(said: Any, name: str) -> str:
    if not isinstance(said, dict) or not isinstance(said.get(name), str):
        raise Refusal(0, f"the answer has no {name}: {str(said)[:200]}")
    return said[name]


def without_none(fields: dict[str, Any]) -> dict[str, Any]:
    """What is None is left to the service."""
    return {name: value for name, value in fields.items() if value is not None}


def first_of(values: Any) -> Any:
    return values[0] if isinstance(values, list) and values else values


def reason_in(details: Any) -> str:
    return f": {str(details)[:200]}" if details else ""
