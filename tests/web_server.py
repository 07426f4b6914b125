"""A web server of photographs that answers as it is told, and remembers what it was asked."""

import io
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

import numpy as np
from PIL import Image

from tests.local_server import LocalServer


def photograph(number: int, kind: str = "JPEG", size: tuple[int, int] = (48, 32)) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


class Handler(BaseHTTPRequestHandler):
    """Answers for the WebServer that its subclass names."""

    outer: "WebServer"
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        outer = self.outer
        with outer.lock:
            outer.asked[self.path] += 1
            outer.at_once += 1
            outer.most = max(outer.most, outer.at_once)
            outer.headers.append(dict(self.headers))
        try:
            status, data, headers = (*outer.script(self.path), {})[:3]
            self.send_response(status)
            for name, value in {"Content-Length": str(len(data)), **headers}.items():
                if value is not None:
                    self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)
            self.close_connection = self.close_connection or headers.get("Content-Length", "") != ""
        except OSError:
            pass  # who asked has gone
        finally:
            with outer.lock:
                outer.at_once -= 1

    def log_message(self, *words):
        pass


class WebServer(LocalServer):
    """`script(path)` gives (status, bytes[, headers]); by default a photograph of its own for each path."""

    def __init__(self, script: Callable[[str], Any] = lambda path: (200, photograph(len(path)))):
        self.script, self.lock = script, threading.Lock()
        self.asked: Counter[str] = Counter()
        self.headers: list[dict] = []
        self.at_once = self.most = 0
        super().__init__(Handler)


def slowly(seconds: float, answer: Any) -> Any:
    time.sleep(seconds)
    return answer
