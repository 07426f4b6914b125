"""The engine behind HTTP: any server that speaks OpenAI's chat protocol, vLLM's own, OpenAI's or Mistral's."""

import base64
import io
import logging
import math
import queue
import threading
from collections.abc import Mapping
from typing import Any, ClassVar

from PIL import Image

from shared.captions.engines.engine import Answer, Engine, Question
from shared.captions.engines.patience import Patience, Refusal, read_key
from shared.errors import RunError
from shared.forecast import Forecast, Model

log = logging.getLogger("worker")

JPEG_QUALITY = 92


class Server(Engine):
    """A model behind `url`, with `num_workers` questions in flight and `batch_size` more that are ready to go.

    `key_variable` names the environment variable that holds the key; the key itself is kept out of every message. Photographs
    go as JPEG in data URLs. `field_names`: what this server calls a field of the request, where it differs from OpenAI's
    first protocol; an empty name leaves the field out.
    """

    without_use: ClassVar[frozenset[str]] = frozenset({"max_num"})  # tiles are the server's, who knows its model
    needs_model_path: ClassVar[bool] = False  # one that serves a single model needs no name

    def __init__(
        self,
        url: str,
        model: str = "",
        *,
        key_variable: str = "",
        num_workers: int = 4,
        batch_size: int = 8,
        seconds: float = 300.0,
        field_names: Mapping[str, str] | None = None,
    ):
        self.url, self.model, self.key_variable = url.rstrip("/"), model, key_variable
        self.num_workers, self.limit = num_workers, num_workers + batch_size
        self.seconds, self.field_names = seconds, dict(field_names or {})
        self.in_flight = 0
        self.asked: queue.SimpleQueue[Question | None] = queue.SimpleQueue()
        self.done: queue.SimpleQueue[tuple[Question, Answer | Exception]] = queue.SimpleQueue()
        self.client: Any = None

    @classmethod
    def made_for(cls, options: Any) -> "Server":
        return cls(
            options.vllm_url, options.model_path, key_variable=options.key_variable,
            num_workers=options.max_num_seqs or options.num_workers, batch_size=options.batch_size,
            seconds=options.request_seconds, field_names=options.field_names,
        )  # fmt: skip

    @classmethod
    def forecast(cls, options: Any) -> Forecast:
        server = Model(
            options.model_path, "model_path", "server", ("httpx",), key_variable=options.key_variable,
            url=options.vllm_url, at_once=options.max_num_seqs or options.num_workers,
            captions=options.repeat_time, turns=len(options.prompts),
            prices=(options.price_prompt, options.price_completion),
        )  # fmt: skip
        return Forecast([server])

    @classmethod
    def remarks(cls, options: Any) -> list[str]:
        given = options.sampling._asdict()
        left_out = [name for name, value in given.items() if name != "seed" and value is not None]
        left_out = [name for name in left_out if options.field_names.get(name) == ""]
        return [
            f"{name} {given[name]} has no effect: {options.model_path or options.vllm_url} takes no {name}"
            for name in left_out
        ]

    def setup(self) -> None:
        import httpx

        logging.getLogger("httpx").setLevel(logging.WARNING)  # it would write a line for every request
        key = read_key(self.key_variable, self.url)
        self.client = httpx.Client(
            base_url=self.url + "/",
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx.Timeout(self.seconds, connect=10),
            limits=httpx.Limits(max_connections=self.num_workers + 1, max_keepalive_connections=self.num_workers + 1),
        )
        self.patience = Patience(self.client, self.url, key)
        try:
            self._check_health()
        except RunError:
            self.close()
            raise
        # Daemons: one that waits for a server that has died would else keep the process alive, try after try.
        for number in range(self.num_workers):
            threading.Thread(target=self._serve, name=f"request_{number}", daemon=True).start()

    def prepare(self, image: Image.Image) -> str:
        buffer = io.BytesIO()
        image.convert("RGB").save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
        return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()

    def room(self) -> int:
        return self.limit - self.in_flight

    def ask(self, question: Question) -> None:
        self.in_flight += 1
        self.asked.put(question)

    def answers(self, seconds: float) -> list[tuple[Question, Answer | Exception]]:
        ready = []
        try:
            ready.append(self.done.get(timeout=seconds))
            while True:
                ready.append(self.done.get_nowait())
        except queue.Empty:
            pass
        self.in_flight -= len(ready)
        for _, answer in ready:
            if isinstance(answer, RunError):
                self.hurry()  # the others say nothing after this reason
                raise answer
        return ready

    def close(self) -> None:
        client, self.client = self.client, None
        if client is None:
            return
        self.hurry()
        for _ in range(self.num_workers):
            self.asked.put(None)
        client.close()

    def hindrance(self) -> str:
        return self.patience.trouble if self.client else ""

    def hurry(self) -> None:
        self.patience.hurried.set()

    def _serve(self) -> None:
        while (question := self.asked.get()) is not None:
            try:
                answer: Answer | Exception = self.patience.post("chat/completions", self.request(question), read_answer)
            except Exception as error:
                answer = error
            self.done.put((question, answer))

    def request(self, question: Question) -> dict:
        """The body of a request; what is None is not sent, and left to the server."""
        sampling = question.sampling
        fields: dict[str, Any] = {"model": self.model, "messages": chat_messages(question), **sampling._asdict()}
        if question.schema:
            form = {"name": "answer", "schema": question.schema, "strict": True}
            fields["response_format"] = {"type": "json_schema", "json_schema": form}
        named = ((self.field_names.get(name, name), value) for name, value in fields.items())
        return {name: value for name, value in named if name and value is not None}

    def _check_health(self) -> None:
        """The server is there, takes the key, and has the model."""
        import httpx

        try:
            response = self.client.get("models", timeout=10)
        except httpx.HTTPError as error:
            reason = self.patience.without_key(str(error) or type(error).__name__)
            raise RunError(
                f"no server answers at {self.url} ({reason}); start one with ./launcher.sh serve, wait until it has loaded "
                "its model, or set vllm_url"
            ) from None
        if response.status_code in (401, 403):
            needed = self.key_variable or "a key; name its environment variable with key_variable"
            raise RunError(f"the server at {self.url} refuses the key; check {needed}")
        if response.status_code >= 500:
            raise RunError(
                f"the server at {self.url} is there and not ready (status {response.status_code}); see its log"
            )
        served = models_of(response)
        if not self.model and len(served) == 1:
            [self.model] = served
            log.info("%s serves %s", self.url, self.model)
        elif not self.model:
            raise RunError(
                f"the server at {self.url} has several models; name one with model_path: {', '.join(served[:20])}"
            )
        elif served and self.model not in served and not any(name.endswith("/" + self.model) for name in served):
            raise RunError(f"the server at {self.url} does not serve {self.model}; it has {', '.join(served[:20])}")


def chat_messages(question: Question) -> list[dict]:
    """A conversation as the protocol has it, the images before the first text of the user."""
    messages: list[dict] = []
    images = question.images
    for role, text in question.messages:
        if role == "user" and images:
            parts = [{"type": "image_url", "image_url": {"url": image}} for image in images]
            messages.append({"role": role, "content": [*parts, {"type": "text", "text": text}]})
            images = ()
        else:
            messages.append({"role": role, "content": text})
    return messages


def read_answer(said: Any) -> Answer:
    """Raises Refusal for what is not an answer."""
    try:
        choice, usage = said["choices"][0], said.get("usage")
        message = choice["message"]
        content = message.get("content")
        if isinstance(content, list):  # Mistral may answer in parts
            content = "".join(part.get("text", "") for part in content)
        if message.get("refusal"):
            return Answer(message["refusal"], "refusal", *tokens_of(usage))
        return Answer(content or "", choice.get("finish_reason") or "stop", *tokens_of(usage))
    except (LookupError, TypeError, AttributeError):
        raise Refusal(0, f"the answer is not one of a chat: {str(said)[:200]}") from None


def tokens_of(usage: Any) -> tuple[int, int]:
    """Of questions and answers; 0 where the server says none, or no number."""
    counts = [usage.get(name) if isinstance(usage, Mapping) else 0 for name in ("prompt_tokens", "completion_tokens")]
    prompt, completion = (
        int(count) if isinstance(count, int | float) and math.isfinite(count) and count > 0 else 0 for count in counts
    )
    return prompt, completion


def models_of(response: Any) -> list[str]:
    """The ids that a server lists; none where it lists nothing, as a gateway may."""
    try:
        return [str(model["id"]) for model in response.json()["data"]]
    except (ValueError, LookupError, TypeError):
        return []
