"""Addresses of files that lie far away: which there are, what lies below one, and how they are shown without secrets."""

import hashlib
import posixpath
import re
from urllib.parse import quote

FAR_ADDRESS = re.compile(r"(s3|gs|hf|https?)://[^/]", re.IGNORECASE)
FAR_SCHEMES = "s3://, gs://, hf://, https:// or http://"
USER = re.compile(r"(?<=://)[^/?#\s]*@")
SIGNED = re.compile(r"[?&][^=&]*(sig|token|key|secret|credential|password|auth|expire)[^=&]*=", re.IGNORECASE)
IN_A_TEXT = re.compile(r"[a-z][a-z0-9+.-]*://[^\s'\"<>]+", re.IGNORECASE)


def is_far(path: object) -> bool:
    return isinstance(path, str) and "://" in path and FAR_ADDRESS.match(path) is not None


def scheme_of(address: str) -> str:
    return address.partition("://")[0].lower()


def is_web(address: str) -> bool:
    """Whether a web server has it, which lists no folders and may not know ranges."""
    return scheme_of(address) in ("http", "https")


def objection_to(address: str) -> str | None:
    """Why nothing is read from an address, in one sentence; None where something may be."""
    if not is_far(address):
        return f"{shown_address(address)} is an address of no kind we read; those begin with {FAR_SCHEMES}"
    if USER.search(address):
        name = shown_address(address)
        return f"{name} is written with a user or a password, which files would keep; the environment or ~/.netrc says them"
    return None


def shown_address(address: str) -> str:
    """Without user and password, and without a query, which may hold a signature: for messages, logs and names."""
    bare = USER.sub("", address)
    return re.split(r"[?#]", bare, maxsplit=1)[0] if is_web(bare) else bare


def scrubbed(text: str) -> str:
    """A text with all addresses in it as they are shown."""
    return IN_A_TEXT.sub(lambda found: shown_address(found[0]), text)


def without_signature(address: str) -> str:
    """The same tomorrow, when it is signed anew."""
    return shown_address(address) if is_web(address) and SIGNED.search(address) else address


def below(folder: str, relative: str) -> str:
    """The address of a file in a far folder, by its relative path."""
    path = posixpath.normpath(relative)
    return f"{folder.rstrip('/')}/{quote(path) if is_web(folder) else path}"


def digest_of_address(address: str, *more: object) -> str:
    return hashlib.sha256("\0".join(map(str, (without_signature(address), *more))).encode()).hexdigest()
