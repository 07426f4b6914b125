"""File names made of keys: they come from outside and must never leave the run's folder."""

import hashlib

LONGEST = 255  # bytes of one name, on every file system in use
LONGEST_PATH = 1500  # bytes; a whole path may have 4,096, and the run's folder needs its share


def file_name(key: str, ending: str) -> str:
    """The relative path of a key's file. `indoor/a.jpg` with `.json` is `indoor/a.jpg.json`.

    What is unsafe is percent-encoded, reversibly: `..`, empty parts, control characters, bytes that are not UTF-8,
    and `%` itself. A part that would be too long keeps its beginning and gets 16 hex digits of the SHA-256 of its whole.
    """
    if needs_no_escape(key, ending):
        return key + ending
    *folders, name = key.split("/")
    path = "/".join([*(escape(part, "", ending) for part in folders), escape(name, ending)])
    return path if len(path.encode()) <= LONGEST_PATH else "%~" + sha256(key) + ending


def needs_no_escape(key: str, ending: str) -> bool:
    """True of most keys: nothing in them needs a look at every character."""
    is_ascii = key.isascii() and key.isprintable() and "%" not in key and len(key) + len(ending) <= LONGEST
    has_odd_part = key[:1] in "/." or key[-1:] == "/" or "//" in key or "/." in key or f"{ending}/" in key
    return is_ascii and not has_odd_part


def escape(part: str, ending: str, taken: str = "") -> str:
    """One part of a path; a folder has no ending, and must not end like a file (`taken`): `a.json/b` beside `a`."""
    if part == "":
        return "%_" + ending
    if set(part) == {"."} and len(part) <= 2 and not ending:
        return "%2E" * len(part)
    safe = "".join(character if is_safe(character) else quote(character) for character in part)
    if taken and safe.endswith(taken):
        safe = safe[: -len(taken)] + quote(taken[0]) + taken[1:]
    if len((safe + ending).encode()) <= LONGEST:
        return safe + ending
    digest = sha256(part)[:16]
    room = LONGEST - len(ending.encode()) - len(digest) - 2
    return safe.encode()[:room].decode(errors="ignore") + "%~" + digest + ending


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def is_safe(character: str) -> bool:
    return character != "%" and (character.isprintable() or ord(character) >= 0x80) and not is_surrogate(character)


def is_surrogate(character: str) -> bool:
    return 0xD800 <= ord(character) <= 0xDFFF


def quote(character: str) -> str:
    if is_surrogate(character):  # os.fsdecode keeps a byte that is not UTF-8 as a lone surrogate
        return f"%{ord(character) & 0xFF:02X}"
    return "".join(f"%{byte:02X}" for byte in character.encode())
