"""The folder of one step: every path in it is spelled here, and nowhere else."""

import re
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from shared.files.claims import Claims
from shared.files.small_files import read_json

if TYPE_CHECKING:
    from shared.files.leases import LeasedClaims
    from shared.files.records import Records

KILL_FILE = re.compile(r"kill\d+\.txt")
END_FILE = re.compile(r"end\d+\.txt")
PROGRESS_FILE = re.compile(r"progress\d+\.json")
# What a step keeps for itself.
KEPT_FOLDERS = ("failures", "retries", "packed", "parts", "claims", "leases")
OWN_FILES = ("step.json", "result.json")

INPUT_FOLDER = "step_0_preprocess_format"  # where the items are as they were read; every run has it


class StepFolder:
    """Hands out a step's records, claims, signs and tables; `folder` need not exist yet."""

    def __init__(self, folder: Path, records_name: str = "records", leased: bool = False):
        """`leased`: locks do not hold between the machines that share the folder."""
        self.folder, self.records_name, self.leased = folder, records_name, leased
        self.settings_path = folder / "step.json"  # what made the records
        self.result_path = folder / "result.jsonl"  # the step's table, which the next step reads
        self.proof_path = (
            folder / "result.json"
        )  # items = recorded + failed + missing, and what the tables were made of
        self.gathered_path = folder / "recorded.jsonl"  # the records as rows, while the tables are being made
        self.parts = folder / "parts"  # what workers have half written, a folder for each slot
        self.claims_path = folder / ("leases" if leased else "claims")
        self.sources_path = folder / "sources"  # of the run's input: which file each item is, see shared/run/sources.py
        self.model_folder = folder / "model"  # of a step that trains

    @cached_property
    def records(self) -> "Records":
        from shared.files.records import Records  # what only watches a step needs neither them nor NumPy

        return Records(self.folder, self.records_name)

    def open_claims(self) -> "Claims | LeasedClaims":
        """A process that works on the step opens them once, and keeps them: see Claims."""
        if self.leased:
            from shared.files.leases import LeasedClaims

            return LeasedClaims(self.claims_path)
        return Claims(self.claims_path)

    def is_alive(self) -> bool:
        """True while any process works on the step: it holds a lock, which ends with it."""
        return self.claims_path.exists() and self.open_claims().has_living_workers()

    def read_made(self) -> dict:
        """The settings that made the records, with the versions; empty where the step has not begun."""
        return read_json(self.settings_path)

    def read_proof(self) -> dict:
        """What collecting wrote last; empty where it did not."""
        return read_json(self.proof_path)

    def end_file(self, gpu: int) -> Path:
        return self.folder / f"end{gpu}.txt"

    def progress_file(self, gpu: int) -> Path:
        return self.folder / f"progress{gpu}.json"

    def end_files(self) -> list[Path]:
        return matching(self.folder, END_FILE)

    def progress_files(self) -> list[Path]:
        return matching(self.folder, PROGRESS_FILE)

    def killed(self) -> set[int]:
        """The ids of the workers that a kill file has stopped."""
        said = map(read_json, self.progress_files())
        return {int(one["gpu"]) for one in said if one.get("killed")}

    def clear_signs(self) -> None:
        """End and progress files of an earlier run say nothing about this one."""
        for path in self.end_files() + self.progress_files():
            path.unlink(missing_ok=True)


def kill_file(folder: Path, gpu: int) -> Path:
    """It stops that worker, in the step's folder, the run's, or beside launcher.sh."""
    return folder / f"kill{gpu}.txt"


def kill_files(folder: Path) -> list[Path]:
    return matching(folder, KILL_FILE)


def is_bookkeeping(name: str) -> bool:
    """Whether a file of that name in a step's folder is none that the step makes for people."""
    return name in OWN_FILES or any(sign.fullmatch(name) for sign in (KILL_FILE, END_FILE, PROGRESS_FILE))


def matching(folder: Path, pattern: re.Pattern) -> list[Path]:
    """The files of a folder whose whole name fits, sorted; none where there is no folder."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if pattern.fullmatch(path.name))
