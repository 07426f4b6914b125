"""What lies far away, on this machine."""

import itertools
import math
from collections.abc import Iterator

import pytest
from s3fs import S3FileSystem

from shared.far import cache, patience, reading
from tests.far.s3_server import CREDENTIALS, Bucket, S3Server

numbers = itertools.count()


@pytest.fixture(autouse=True)
def far_away(monkeypatch, tmp_path):
    """No wait between tries, a cache of its own, and no proxy between."""
    monkeypatch.setattr(patience, "FIRST_PAUSE", 0.001)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "_written", {"bytes": math.inf, "files": 0})
    monkeypatch.setattr(reading, "_states", {})


@pytest.fixture(scope="session")
def s3_server():
    server = S3Server()
    yield server
    server.close()


@pytest.fixture
def bucket(s3_server, monkeypatch) -> Iterator[Bucket]:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.url)
    yield Bucket(s3_server, f"photographs-{next(numbers)}")
    S3FileSystem.clear_instance_cache()
