"""Requests over HTTP that outlast a busy server: tried again with growing pauses, and an end when there is no sense in it."""

import logging
import os
import random
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.captions.engines.engine import Abandoned
from shared.errors import RequestError, RunError
from shared.web.waiting import FIRST_PAUSE, LONGEST_PAUSE, PASSING, seconds_to_wait

if TYPE_CHECKING:
    import httpx

log = logging.getLogger("worker")

TRIES = 8  # with the pauses about two minutes in all
LONGEST_RETRY_AFTER = 600.0  # a server that asks for more has its quota spent, and a person should know
CONTEXT = "maximum context length"  # of a prompt with a photograph that is too long, whichever field is blamed


@dataclass(eq=False)
class Refusal(Exception):
    """An answer that is no success: the status, what the server said about it, and the seconds it asks to wait."""

    status: int
    message: str
    names_option: bool = False  # it is about a field of the request, and not about this photograph
    is_spent: bool = False  # there is no quota or credit left, which waiting does not mend
    retry_after: float = 0.0

    def __str__(self) -> str:
        return f"status {self.status}: {self.message}" if self.status else self.message


class Patience:
    """Sends requests from several threads. When the server asks one of them to wait, all wait."""

    def __init__(self, client: "httpx.Client", where: str, key: str = ""):
        self.client, self.where, self.key = client, where, key
        self.resume_at = 0.0
        self.lock = threading.Lock()
        self.hurried = threading.Event()  # nothing is tried again, and pauses end
        self.has_answered = False
        self.refused = 0
        self.trouble = ""  # why nothing comes, since the last answer

    def post(self, path: str, body: dict, read: Any, as_json: bool = True) -> Any:
        """What `read` makes of the server's JSON, or of its bytes; when it raises Refusal, as for garbage, that is tried again
        as well.

        Raises RequestError when this question alone is at fault, RunError when no other would fare better, Abandoned when
        there was no answer and nobody waits for one any more.
        """
        return self._try(lambda: self.client.post(path, json=body), body, read, as_json)

    def get(self, path: str, read: Any, as_json: bool = True) -> Any:
        """The same without a body."""
        return self._try(lambda: self.client.get(path), {}, read, as_json)

    def _try(self, send: Callable[[], Any], body: dict, read: Any, as_json: bool) -> Any:
        for attempt in range(TRIES):
            self._wait()
            if self.hurried.is_set():
                raise Abandoned("nobody waits for this answer any more")
            try:
                reply = read(self._send(send, body, as_json))
            except Refusal as refusal:
                refusal.message = self.without_key(refusal.message)
                last = refusal
                if refusal.is_spent or refusal.status not in (0, *PASSING):
                    raise self._blame(refusal) from None
                pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2**attempt) * random.uniform(0.5, 1.0)
                self._note(refusal, pause, attempt)
            else:
                self.has_answered, self.trouble = True, ""
                return reply
        if last.status == 429 or not self.is_healthy():
            raise RunError(
                f"the server at {self.where} has not answered {TRIES} tries ({last}); nothing recorded is lost"
            )
        raise RequestError(f"no answer after {TRIES} tries, the last: {last}")

    def is_healthy(self) -> bool:
        import httpx

        try:
            return self.client.get("models", timeout=10).status_code < 500
        except httpx.HTTPError:
            return False

    def _send(self, send: Callable[[], Any], body: dict, as_json: bool) -> Any:
        import httpx

        try:
            response = send()
        except httpx.TimeoutException as error:
            raise Refusal(0, f"no answer in time ({type(error).__name__})") from None
        except httpx.HTTPError as error:
            raise Refusal(0, str(error) or type(error).__name__) from None
        if response.status_code != 200:
            message, field, is_spent = reason_of(response)
            # Of the fields that were sent: vLLM also names input_tokens or image_url, which are this item's.
            names_option = field in body and field != "messages" and CONTEXT not in message
            pause = seconds_to_wait(response.headers.get("retry-after", ""))
            raise Refusal(response.status_code, message, names_option, is_spent, pause)
        try:
            return response.json() if as_json else response.content
        except ValueError:
            raise Refusal(0, f"the answer is not JSON: {response.text[:200]!r}") from None

    def _wait(self) -> None:
        while (left := self.resume_at - time.monotonic()) > 0:
            if self.hurried.wait(left + random.uniform(0, 0.1)):  # not all at the same moment
                return

    def _note(self, refusal: Refusal, pause: float, attempt: int) -> None:
        self.trouble = f"no answer from {self.where}: {refusal}"
        if refusal.retry_after > LONGEST_RETRY_AFTER:
            raise RunError(
                f"the server at {self.where} asks to wait {refusal.retry_after:.0f} seconds ({refusal}); run again then"
            ) from None
        if refusal.retry_after or refusal.status == 429:
            with self.lock:
                self.resume_at = max(self.resume_at, time.monotonic() + (refusal.retry_after or pause))
        if attempt + 1 < TRIES and not self.hurried.is_set():
            log.warning("%s: %s; trying again", self.where, refusal)
            if not refusal.retry_after:
                self.hurried.wait(pause)

    def _blame(self, refusal: Refusal) -> Exception:
        """Whose fault is a refusal for good: the run's, when it would befall every item, else the item's."""
        with self.lock:
            self.refused += 1
            all_are_refused = not self.has_answered and self.refused >= TRIES
        if refusal.is_spent:
            return RunError(
                f"the server at {self.where} has no quota left for this key ({refusal}); run again when it has"
            )
        if refusal.status in (401, 403):
            return RunError(f"the server at {self.where} refuses the key ({refusal})")
        if refusal.status in (402, 404, 405) or refusal.names_option or all_are_refused:
            return RunError(f"the server at {self.where} refuses what the config asks of it ({refusal})")
        return RequestError(f"the server refuses this one ({refusal})")

    def without_key(self, text: str) -> str:
        return text.replace(self.key, "***") if self.key else text


def read_key(variable: str, url: str) -> str:
    """The key that the environment holds for a server; empty where it needs none. Raises RunError."""
    key = os.environ.get(variable, "") if variable else ""
    if variable and not key:
        raise RunError(f"{variable} is not set; the server at {url} needs a key: export {variable}=...")
    return key


def reason_of(response: Any) -> tuple[str, str, bool]:
    """The message of an error, in the shapes of OpenAI, vLLM and Mistral; the field of the request that it names, if any, and
    whether it says that the quota is spent.
    """
    try:
        said = response.json()
    except ValueError:
        return response.text.strip()[:200] or "without a reason", "", False
    error = said.get("error", said) if isinstance(said, dict) else said
    if not isinstance(error, dict):
        return str(error)[:300], "", False
    if isinstance(details := error.get("detail"), list) and details and isinstance(details[0], dict):
        place = [str(part) for part in details[0].get("loc", ()) if part != "body"]
        return f"{'.'.join(place)}: {details[0].get('msg')}"[:300], place[0] if place else "", False
    field = re.split(r"[.\[]", str(error.get("param") or ""))[0]
    is_spent = "insufficient_quota" in (error.get("code"), error.get("type"))
    return str(error.get("message") or said)[:300], field, is_spent
