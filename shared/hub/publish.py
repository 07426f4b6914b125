"""Parts on the Hugging Face Hub: in the end each is there once, whatever fails on the way and whoever pushes beside us."""

import hashlib
import json
import logging
import random
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shared.errors import PublishError
from shared.hub.parts import key_hashes
from shared.web.waiting import FIRST_PAUSE, LONGEST_PAUSE, PASSING

log = logging.getLogger("worker")

TRIES_OF_A_COMMIT = 8
FILES_OF_A_COMMIT = 100
PUBLICATION = "publication.json"  # in the repository: what its parts are made by
CONFLICT = 412  # somebody else has committed meanwhile


class Repository:
    """A dataset's repository; `marker` says which captioning its parts come from."""

    def __init__(self, name: str, revision: str, is_private: bool, marker: dict, ended: threading.Event | None = None):
        """Once `ended` is set nothing is tried again."""
        from huggingface_hub import HfApi

        self.ended = ended or threading.Event()
        self.name, self.revision, self.is_private, self.marker = name, revision, is_private, marker
        self.api = HfApi()
        self.is_made = False
        self.compared: dict[Path, str] = {}  # our parts -> the digests that they have there too
        self.looked_at: set[str] = set()  # parts of others whose keys are none of ours

    def publish(self, parts: Sequence[Path], card: str) -> int:
        """Commit the parts that are not there yet, with the card; returns the number of commits. Raises PublishError."""
        commits = 0
        while True:
            for attempt in range(TRIES_OF_A_COMMIT):
                try:
                    is_done = self._commit_some(parts, card)
                    break
                except Exception as error:
                    reason = self._blame(error)
                    if attempt + 1 == TRIES_OF_A_COMMIT:
                        raise PublishError(
                            f"the Hub has not taken it in {TRIES_OF_A_COMMIT} tries ({reason})"
                        ) from error
                pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2**attempt) * random.uniform(0.5, 1.0)
                log.warning("%s: %s; trying again", self.name, reason)
                if self.ended.wait(pause):
                    raise PublishError(f"the Hub has not taken it before the end ({reason})")
            if is_done:
                return commits
            commits += 1

    def _commit_some(self, parts: Sequence[Path], card: str) -> bool:
        """One commit; True where nothing was left to be done."""
        from huggingface_hub import CommitOperationAdd

        where: dict[str, Any] = {"repo_type": "dataset", "revision": self.revision}
        self._make()
        head = self.api.repo_info(self.name, **where).sha
        there = self._listed(where)
        self._check_marker(there, where)
        missing = self._missing(parts, there)
        self._check_others(parts, there, where)
        files = {"README.md": card.encode(), PUBLICATION: marker_bytes(self.marker)}
        changed = {name: data for name, data in files.items() if there.get(name) != git_id(data)}
        if not missing and not (changed and parts):
            return True
        some = missing[:FILES_OF_A_COMMIT]
        operations = [CommitOperationAdd(f"data/{path.name}", path) for path in some]
        operations += [CommitOperationAdd(name, data) for name, data in changed.items()]
        message = f"{len(some)} parts, {some[0].stem} to {some[-1].stem}" if some else "The card"
        self.api.create_commit(self.name, operations, commit_message=message, parent_commit=head, **where)
        return False

    def _make(self) -> None:
        if not self.is_made:
            self.api.create_repo(self.name, repo_type="dataset", private=self.is_private, exist_ok=True)
            if self.revision != "main":
                self.api.create_branch(self.name, branch=self.revision, repo_type="dataset", exist_ok=True)
            self.is_made = True

    def _listed(self, where: dict) -> dict[str, str]:
        """path -> the SHA-256 of a large file, git's id of a small one."""
        from huggingface_hub.errors import EntryNotFoundError
        from huggingface_hub.hf_api import RepoFile

        try:
            entries = list(self.api.list_repo_tree(self.name, recursive=True, **where))
        except EntryNotFoundError:
            return {}
        files = (entry for entry in entries if isinstance(entry, RepoFile))
        return {file.path: file.lfs.sha256 if file.lfs else file.blob_id for file in files}

    def _check_marker(self, there: dict[str, str], where: dict) -> None:
        if PUBLICATION not in there or there[PUBLICATION] == git_id(marker_bytes(self.marker)):
            return
        found = json.loads(Path(self.api.hf_hub_download(self.name, PUBLICATION, **where)).read_bytes())
        if found.get("fingerprint") != self.marker.get("fingerprint"):
            raise PublishError(
                f"{self.name} ({self.revision}) holds what was made with other settings; take another hf_repo, or another "
                "revision of it"
            )

    def _missing(self, parts: Sequence[Path], there: dict[str, str]) -> list[Path]:
        missing = []
        for path in parts:
            stored = there.get(f"data/{path.name}")
            if stored is None:
                missing.append(path)
            elif self.compared.get(path) != stored:
                data = path.read_bytes()
                if stored not in (digest := hashlib.sha256(data).hexdigest(), git_id(data)):
                    raise PublishError(
                        f"{self.name} ({self.revision}) has another {path.name} ({stored[:12]}, here {digest[:12]}); take "
                        "another hf_repo, or another revision of it"
                    )
                self.compared[path] = stored
        return missing

    def _check_others(self, parts: Sequence[Path], there: dict[str, str], where: dict) -> None:
        """Parts that other machines have pushed hold none of our keys."""
        mine = {f"data/{path.name}" for path in parts}
        others = [name for name in there if name.startswith("data/") and name.endswith(".parquet") and name not in mine]
        new = [name for name in others if name not in self.looked_at]
        if not new or not parts:
            return
        keys = np.concatenate(list(map(key_hashes, parts)))
        for name in new:
            theirs = key_hashes(Path(self.api.hf_hub_download(self.name, name, **where)))
            if len(doubled := np.intersect1d(keys, theirs)):
                raise PublishError(
                    f"{self.name} ({self.revision}) has {len(doubled)} of these rows already, in {name}; take another hf_repo, "
                    "or another revision of it"
                )
            self.looked_at.add(name)

    def _blame(self, error: Exception) -> str:
        """Why a try failed, where another may fare better. Raises PublishError where none would."""
        from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError, RepositoryNotFoundError

        if isinstance(error, PublishError):
            raise error
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
        if isinstance(error, LocalTokenNotFoundError):
            raise PublishError("there is no token for the Hub: hf auth login, or set HF_TOKEN") from error
        status = getattr(getattr(error, "response", None), "status_code", None)
        if isinstance(error, RepositoryNotFoundError) or status in (401, 403):
            raise PublishError(f"the token may not write {self.name} ({reason})") from error
        if isinstance(error, HfHubHTTPError) and status is not None and status not in {*PASSING, CONFLICT}:
            raise PublishError(f"the Hub refuses it (status {status}: {reason})") from error
        if isinstance(error, (HfHubHTTPError, OSError, RuntimeError)) or is_of_the_net(error):
            return f"{type(error).__name__}: {reason}"  # also what comes out of the Xet client
        raise error


def is_of_the_net(error: Exception) -> bool:
    return any(
        kind.__module__.startswith(("httpx", "httpcore")) for kind in type(error).__mro__
    )  # whose names have numbers too


def git_id(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def marker_bytes(marker: dict) -> bytes:
    return (json.dumps(marker, indent=2, sort_keys=True) + "\n").encode()


def full_name(repository: str, owner: str) -> str:
    """`owner/name`; where no owner is given, the one of the token. Raises PublishError."""
    if "/" in repository:
        return repository
    if owner:
        return f"{owner}/{repository}"
    from huggingface_hub import HfApi

    try:
        return f"{HfApi().whoami()['name']}/{repository}"
    except Exception as error:
        raise PublishError(f"whose {repository} is it? set hf_username, or log in: hf auth login ({error})") from None
