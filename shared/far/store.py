"""What is asked of those who keep far files, through fsspec, whose packages are imported when they are first needed."""

import os
from typing import Any, NamedTuple

from shared.errors import FarError
from shared.far.addresses import is_web, scheme_of, shown_address
from shared.far.patience import patiently

SECONDS_TO_CONNECT, SECONDS_OF_SILENCE = 30, 60  # of a web server
CONNECTIONS = 64
PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "hf": "huggingface_hub", "http": "aiohttp", "https": "aiohttp"}
TAG_FIELDS = (
    "ETag",
    "etag",
    "generation",
    "blob_id",
    "xet_hash",
    "Content-MD5",
    "Last-Modified",
    "LastModified",
    "mtime",
)


class FarState(NamedTuple):
    """What tells one content of a file from another; the size is None and the tag empty where nobody says them."""

    size: int | None
    tag: str


def file_system(address: str) -> Any:
    """fsspec's, which keeps one for each scheme. Raises FarError where its package is missing."""
    scheme = scheme_of(address)
    try:
        import fsspec

        return fsspec.filesystem(scheme, **file_system_options(scheme))
    except ImportError as error:
        package = "fsspec" if error.name == "fsspec" else PACKAGES[scheme]
        raise FarError(
            f"to read {shown_address(address)} takes the package {package}: uv pip install --group far"
        ) from None


def file_system_options(scheme: str) -> dict[str, Any]:
    """Where the servers are, and that each call is one try; who asks is said by the environment, which the libraries read."""
    if scheme == "s3":
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        config = {"retries": {"total_max_attempts": 1}, "max_pool_connections": CONNECTIONS}
        return {"endpoint_url": endpoint, "config_kwargs": config, "use_listings_cache": False}
    if scheme == "hf":
        return {"endpoint": os.environ.get("HF_ENDPOINT")}
    if scheme == "gs":
        return {}
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=None, sock_connect=SECONDS_TO_CONNECT, sock_read=SECONDS_OF_SILENCE)
    return {"client_kwargs": {"timeout": timeout, "trust_env": True}}  # proxies, and ~/.netrc


def state_of_file(address: str) -> FarState:
    files = file_system(address)
    return state_in(patiently(address, lambda: files.info(address)))


def listed_files(address: str) -> dict[str, FarState]:
    """All files below, by their relative paths, from one listing; a file itself has the path "". Raises FarError."""
    if is_web(address):
        raise FarError(
            f"{shown_address(address)} is no table, and a web server lists no folders; name a .csv, .jsonl, .parquet or .tar"
        )
    files = file_system(address)
    files.invalidate_cache()
    found = patiently(address, lambda: files.find(address, detail=True))
    start = address.partition("://")[2].strip("/")
    listed = {
        name.removeprefix(start).removeprefix("/"): state_in(info)
        for name, info in found.items()
        if info.get("type") != "directory" and not name.endswith("/")
    }
    if not listed:
        raise FarError(f"there is nothing at {shown_address(address)}")
    return listed


def state_in(info: dict[str, Any]) -> FarState:
    return FarState(info.get("size"), next((str(info[name]) for name in TAG_FIELDS if info.get(name)), ""))


def bytes_of_file(address: str) -> bytes:
    files = file_system(address)
    return patiently(address, lambda: files.cat_file(address))


def range_of_file(address: str, start: int, stop: int) -> bytes:
    files = file_system(address)
    # The Hub's files would read megabytes ahead of each range.
    more = {"cache_type": "none"} if scheme_of(address) == "hf" else {}
    return patiently(address, lambda: files.cat_file(address, start=start, end=stop, **more))


def download_to(address: str, size: int | None, path: str) -> None:
    """The file, as a stream, to `path`."""
    files = file_system(address)

    def once() -> None:
        files.get_file(address, path)
        if size is not None and os.path.getsize(path) != size:
            raise ConnectionError(f"{os.path.getsize(path)} of {size} bytes came")

    patiently(address, once)
