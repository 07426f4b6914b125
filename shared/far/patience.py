"""A call to a server that is made again after growing waits where that helps; any other error is one sentence without secrets."""

import errno
import random
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import TypeVar

from shared.errors import FarError
from shared.far.addresses import is_web, scheme_of, scrubbed, shown_address
from shared.web.waiting import FIRST_PAUSE, LONGEST_PAUSE, PASSING, seconds_to_wait

FAR_TRIES = 5
WAYS_IN = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, say who asks; FSSPEC_S3_ANON=1 asks a public bucket",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS, or gcloud auth application-default login, say who asks",
    "hf": "HF_TOKEN, or hf auth login, say who asks",
}
OF_THE_WEB = "~/.netrc says who asks; a signed address may have expired"
# By their names, for each library has its own and none is imported before it is needed.
PASSING_KINDS = {
    "TimeoutError", "ConnectionError", "ClientConnectionError", "ClientPayloadError", "HTTPClientError", "TransportError",
    "IncompleteRead", "ResponseParserError",
}  # fmt: skip
FORBIDDEN_KINDS = {
    "PermissionError",
    "NoCredentialsError",
    "PartialCredentialsError",
    "ProfileNotFound",
    "RefreshError",
}
OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)

Asked = TypeVar("Asked")


def patiently(address: str, ask: Callable[[], Asked]) -> Asked:
    """What `ask` gives; tried again after growing waits where its error may pass. Raises FarError, without secrets."""
    for attempt in range(FAR_TRIES):
        try:
            return ask()
        except Exception as error:
            if isinstance(error, OSError) and error.errno in OF_THE_DISK:
                raise
            if not is_passing(error) or attempt + 1 == FAR_TRIES:
                raise FarError(sentence(address, error)) from None  # what libraries say of it may hold a signature
            pause = asked_to_wait(error) or FIRST_PAUSE * 2**attempt * random.uniform(0.5, 1.0)
        time.sleep(min(pause, LONGEST_PAUSE))
    raise AssertionError("a try ends with an answer or an error")


def sentence(address: str, error: BaseException) -> str:
    name, status = shown_address(address), status_of(error)
    if is_passing(error):
        return f"{name} could not be read in {FAR_TRIES} tries: {what_happened(error)}"
    if status in (401, 403) or is_kind(error, FORBIDDEN_KINDS):
        way_in = OF_THE_WEB if is_web(address) else WAYS_IN[scheme_of(address)]
        return f"{name} may not be read, or is not there: {way_in}"
    if status in (404, 410) or is_kind(error, {"FileNotFoundError"}):
        return f"{name} does not exist"
    return f"{name} cannot be read: {what_happened(error)}"


def is_passing(error: BaseException) -> bool:
    status = status_of(error)
    return status in PASSING if status else is_kind(error, PASSING_KINDS)


def is_kind(error: BaseException, names: set[str]) -> bool:
    return any(kind.__name__ in names for one in error_and_causes(error) for kind in type(one).__mro__)


def error_and_causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and what it was raised from: fsspec's FileNotFoundError may be that of a server that is overloaded."""
    one: BaseException | None = error
    while one is not None:
        yield one
        one = one.__cause__


def status_of(error: BaseException) -> int:
    """What the server answered, as each library keeps it; 0 where it did not."""
    for one in error_and_causes(error):
        response = getattr(one, "response", None)
        if isinstance(response, dict):  # botocore's
            found = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        else:
            found = getattr(one, "status", None) or getattr(response, "status_code", None) or getattr(one, "code", None)
        if str(found).isdigit():
            return int(str(found))
    return 0


def asked_to_wait(error: BaseException) -> float:
    """Seconds, of a header Retry-After."""
    for one in error_and_causes(error):
        response = getattr(one, "response", None)
        if isinstance(response, dict):
            headers = response.get("ResponseMetadata", {}).get("HTTPHeaders")
        else:
            headers = getattr(one, "headers", None) or getattr(response, "headers", None)
        if headers:
            return seconds_to_wait(headers.get("Retry-After") or headers.get("retry-after") or "")
    return 0.0


def what_happened(error: BaseException) -> str:
    if status := status_of(error):
        return f"{status} {HTTPStatus(status).phrase}" if status in list(HTTPStatus) else str(status)
    *_, first = error_and_causes(error)
    text = scrubbed(str(first)).strip().partition("\n")[0]
    return f"{type(first).__name__}: {text}" if text else type(first).__name__
