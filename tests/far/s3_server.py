"""A real server of S3 (moto's), whose answers can be told to fail, and a bucket of it."""

import threading
from collections import Counter
from typing import Any

import boto3
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Response

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "secret-of-the-test",
    "AWS_DEFAULT_REGION": "us-east-1",
}
CODES = {403: "AccessDenied", 404: "NoSuchKey", 500: "InternalError", 503: "SlowDown"}


class QuietHandler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *words: Any) -> None:
        pass


class S3Server:
    """`fail["GET /bucket/key"] = [503, 500]`: so are the next requests for it answered. `asked` counts all of them."""

    def __init__(self) -> None:
        self.application = DomainDispatcherApplication(create_backend_app)
        self.fail: dict[str, list[int]] = {}
        self.asked: Counter[str] = Counter()
        self.server = make_server("127.0.0.1", 0, self.answer, threaded=True, request_handler=QuietHandler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def answer(self, environ: dict, start_response: Any) -> Any:
        request = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO'].rstrip('/')}"
        self.asked[request] += 1
        if self.fail.get(request):
            status = self.fail[request].pop(0)
            body = f"<Error><Code>{CODES[status]}</Code><Message>of the test</Message></Error>"
            return Response(body, status, content_type="application/xml")(environ, start_response)
        return self.application(environ, start_response)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class Bucket:
    def __init__(self, server: S3Server, name: str):
        self.server, self.name, self.url = server, name, f"s3://{name}"
        self.client = boto3.client(
            "s3",
            endpoint_url=server.url,
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="x",
        )
        self.client.create_bucket(Bucket=name)

    def put(self, key: str, data: bytes) -> str:
        self.client.put_object(Bucket=self.name, Key=key, Body=data)
        return f"{self.url}/{key}"

    def remove(self, key: str) -> None:
        self.client.delete_object(Bucket=self.name, Key=key)

    def fails(self, key: str, *statuses: int, methods: tuple[str, ...] = ("HEAD", "GET")) -> None:
        for method in methods:
            self.server.fail[f"{method} /{self.name}/{key}"] = list(statuses)

    def asked(self, method: str, key: str = "") -> int:
        return self.server.asked[f"{method} /{self.name}/{key}".rstrip("/")]
