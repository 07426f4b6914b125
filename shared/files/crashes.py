"""Which items were in flight when workers died, so that one that kills workers does not stop the run."""

import contextlib
import os
import shutil
import threading
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from shared.files.leases import AnyClaims
from shared.files.records import Records

CRASHES_UNTIL_ALONE = 2
JOURNAL_BYTES = 1 << 20


class Journal:
    """The keys that one worker has begun, in a file that a dead worker leaves behind."""

    def __init__(self, parts: Path):
        parts.mkdir(parents=True, exist_ok=True)
        self.path = parts / "begun.jsonl"
        self.descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self.size = 0
        self._lock = threading.Lock()

    def begin(self, keys: list[str], alone: bool = False) -> None:
        with self._lock:
            self._write(keys, alone)

    def forget(self, in_flight: Mapping[str, Any]) -> None:
        """Drop what is settled; with nothing in flight, all. Another thread may begin items meanwhile."""
        with self._lock:
            if not in_flight or self.size > JOURNAL_BYTES:
                os.ftruncate(self.descriptor, 0)
                self.size = 0
                self._write(list(in_flight), False)

    def close(self) -> None:
        os.close(self.descriptor)

    def _write(self, keys: list[str], alone: bool) -> None:
        lines = (orjson.dumps({"key": key, "alone": alone}, option=orjson.OPT_APPEND_NEWLINE) for key in keys)
        self.size += os.write(self.descriptor, b"".join(lines))


def recover(parts: Path, claims: AnyClaims, records: Records, own_slot: int | None = None) -> None:
    """Take note of what dead workers left in flight, and remove their half-written files."""
    if not parts.is_dir():
        return
    for folder in sorted(folder for folder in parts.iterdir() if folder.name.isdecimal()):
        slot = int(folder.name)
        if slot == own_slot:
            note_crash(folder, records)
        elif claims.take_slot_of_dead(slot):
            note_crash(folder, records)
            claims.release_slot(slot)


def note_crash(folder: Path, records: Records) -> None:
    begun = {line["key"]: line for line in read_lines(folder / "begun.jsonl")}  # one that was begun twice died once
    lines = [orjson.dumps(line) for key, line in begun.items() if not records.is_settled(key)]
    if lines:
        # One write with O_APPEND, so that two workers that recover at once do not mix their lines.
        descriptor = os.open(
            records.folder / "crashes.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644
        )
        os.write(descriptor, b"".join(line + b"\n" for line in lines))
        os.close(descriptor)
    shutil.rmtree(folder, ignore_errors=True)


def suspects(records: Records) -> tuple[set[str], set[str]]:
    """The keys to try alone, and those among them that killed a worker alone and are to be recorded as failures."""
    crashes: Counter[str] = Counter()
    alone: Counter[str] = Counter()
    for line in read_lines(records.folder / "crashes.jsonl"):
        crashes[line["key"]] += 1
        alone[line["key"]] += bool(line["alone"])
    to_try = {key for key, count in crashes.items() if count >= CRASHES_UNTIL_ALONE and not records.is_settled(key)}
    deadly = {key for key in to_try if alone[key] > (records.read_failure(key) or {"attempts": 0})["attempts"]}
    return to_try, deadly


def read_lines(path: Path) -> list[dict]:
    """The whole lines of a JSONL file; a last one that a crash cut off is left out."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return []
    lines = []
    for line in text.splitlines():
        try:
            lines.append(orjson.loads(line))
        except ValueError:
            continue
    return lines


def remove_parts(folder: Path) -> None:
    """Remove a worker's parts; `parts` itself goes with the last of them."""
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        os.rmdir(folder.parent)
