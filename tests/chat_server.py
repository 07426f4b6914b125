"""A chat server that answers as it is told: the shapes are those of OpenAI, vLLM and Mistral; only the words are made up."""

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.local_server import LocalServer

PHRASE = "soft window light from the left, quiet living room"


def completion(text: str = PHRASE, reason: str = "stop", **message: Any) -> dict:
    return {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1763600000, "model": "tiny",
        "choices": [{
            "index": 0, "message": {"role": "assistant", "content": text, **message}, "logprobs": None, "finish_reason": reason,
        }],
        "usage": {"prompt_tokens": 1100, "completion_tokens": 12, "total_tokens": 1112},
    }  # fmt: skip


class Handler(BaseHTTPRequestHandler):
    """Answers for the ChatServer that its subclass names."""

    outer: "ChatServer"
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.outer.headers.append(dict(self.headers))
        if isinstance(self.outer.models, int):
            self.reply(
                self.outer.models,
                {"error": {"message": "Incorrect API key provided: " + self.headers["Authorization"][7:]}},
            )
        else:
            self.reply(200, {"object": "list", "data": [{"id": name, "object": "model"} for name in self.outer.models]})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.outer.lock:
            number = len(self.outer.requests)
            self.outer.requests.append(body)
            self.outer.headers.append(dict(self.headers))
            self.outer.times.append(time.monotonic())
            self.outer.at_once += 1
            self.outer.most = max(self.outer.most, self.outer.at_once)
        try:
            told = None if self.outer.is_gone else self.outer.script(number, body)
            if isinstance(told, float):
                time.sleep(told)
                told = completion()
            if told is None:
                self.close_connection = True
                return
            status, content, headers = (*told, {})[:3] if isinstance(told, tuple) else (200, told, {})
            self.reply(status, content, headers)
        finally:
            with self.outer.lock:
                self.outer.at_once -= 1

    def reply(self, status, content, headers=None):
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        try:
            self.send_response(status)
            for name, value in {
                "Content-Type": "application/json",
                "Content-Length": str(len(data)),
                **(headers or {}),
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)
        except OSError:
            pass  # who asked has given up

    def log_message(self, *words):
        pass


class ChatServer(LocalServer):
    """`script(number, body)` gives what the request of that number gets: a dict (200), (status, body[, headers]), bytes, or
    a float, which is how long it keeps silent before it answers properly."""

    def __init__(self, script: Callable[[int, dict], Any] = lambda number, body: completion(), models: Any = ("tiny",)):
        self.requests: list[dict] = []
        self.headers: list[dict] = []
        self.at_once = self.most = 0
        self.is_gone = False  # connections that are kept alive outlive the server
        self.times: list[float] = []
        self.script, self.models, self.lock = script, models, threading.Lock()
        super().__init__(Handler)
        self.url += "/v1"

    def __exit__(self, *error: object) -> None:
        self.is_gone = True
        super().__exit__(*error)
