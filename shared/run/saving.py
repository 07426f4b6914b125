"""The last step's results in a folder of the person's own, save_folder: by hard link, else as a copy, and nothing else there."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson

from shared.errors import ConfigError, RunError
from shared.files.lookup import made_folder
from shared.files.part_file import PartFile, sync_folder
from shared.files.paths import relative_paths
from shared.files.small_files import read_json, write_json
from shared.files.step_folder import KEPT_FOLDERS, is_bookkeeping
from shared.files.table import Table
from shared.run.run import Run, Step

# What a step keeps for itself; records that a config has given another name, as captions/, are for people.
INSIDE = {*KEPT_FOLDERS, "records", "sources", "recorded.jsonl", "result.jsonl.index"}
MOST_NAMED = 3  # of the foreign files, in the sentence about them


def save_folder_of(run: Run) -> Path | None:
    """Raises ConfigError for one that the run itself writes into."""
    if not run.config.save_folder:
        return None
    folder = made_folder(run.config.save_folder, run.config.path.parent)
    if folder == run.folder or folder.is_relative_to(run.folder) or run.folder.is_relative_to(folder):
        raise ConfigError(
            f"save_folder {folder} and the run's own folder {run.folder} hold each other; name one beside the other"
        )
    return folder


def save_results(run: Run, say: Callable[[str], None]) -> Path | None:
    """Put what the last step has made into save_folder, once it is complete; nothing is done where all is there.

    Files of others in that folder stay as they are. Raises RunError where one of them has the name of a result.
    """
    folder, step = save_folder_of(run), run.steps[-1]
    if folder is None or not step.result_path.exists():
        return None
    saved = Saved(run.folder)
    state = {"folder": str(folder), "digest": step.read_proof().get("digest"), "table": Table(step.result_path).digest}
    if saved.state == state and all((folder / name).exists() for name in saved.names()):
        return folder
    results = ["result.jsonl", *results_of_step(step)]
    ours = set(saved.names()) if saved.state.get("folder") == str(folder) else set()
    foreign = [name for name in results if name not in ours and is_foreign(folder / name, step.folder / name)]
    if foreign:
        names = ", ".join(foreign[:MOST_NAMED]) + (" ..." if foreign[MOST_NAMED:] else "")
        raise RunError(
            f"save_folder {folder} holds {names} of something else, which stays as it is; name another save_folder, or move "
            f"{'it' if len(foreign) == 1 else 'them'} away. The results are in {step.folder}"
        )
    saved.begin(str(folder), sorted({*results, *ours}))
    for name in results[1:]:
        put(step.folder / name, folder / name)
    write_table(step, folder / "result.jsonl")
    saved.end(state)
    say(f"results in {folder}")
    return folder


def results_of_step(step: Step) -> Iterator[str]:
    """The files that a step has made for people but its table, relative to its folder."""
    for root, folders, files in os.walk(step.folder):
        is_top = Path(root) == step.folder
        folders[:] = sorted(name for name in folders if not name.startswith(".") and not (is_top and name in INSIDE))
        for name in sorted(files):
            if name.startswith(".") or (is_top and (name in INSIDE or name == "result.jsonl" or is_bookkeeping(name))):
                continue
            yield os.path.relpath(os.path.join(root, name), step.folder)


def is_foreign(there: Path, result: Path) -> bool:
    """Whether a file with a result's name is another one; of the table that is told by its name alone."""
    return os.path.lexists(there) and (there.is_dir() or there.is_symlink() or not is_same(there, result))


def is_same(there: Path, result: Path) -> bool:
    """The same file, or a copy of it: its times are copied too."""
    one, other = there.stat(), result.stat()
    return os.path.samestat(one, other) or (one.st_size, one.st_mtime_ns) == (other.st_size, other.st_mtime_ns)


def put(result: Path, place: Path) -> None:
    """By hard link, else by copy; whole or absent."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.exists() and is_same(place, result):
        return
    part = place.with_name(f".{place.name}.part")
    part.unlink(missing_ok=True)
    try:
        os.link(result, part)
    except OSError:  # another file system, or one without hard links
        shutil.copy2(result, part)
    os.replace(part, place)


def write_table(step: Step, place: Path) -> None:
    """The rows with the fields of the input as they were; paths that lead into save_folder are relative to it."""
    inside = str(step.folder)
    place.parent.mkdir(parents=True, exist_ok=True)
    with PartFile(place) as part:
        for row in Table(step.result_path):
            part.file.write(orjson.dumps(relative_paths(row, inside, inside)) + b"\n")
        part.sync()
        part.replace()
    sync_folder(place.parent)


class Saved:
    """What the run has put there, so that it tells its own files from others': saved.json, and saved.txt with their names."""

    def __init__(self, run_folder: Path):
        self.state_path, self.names_path = run_folder / "saved.json", run_folder / "saved.txt"
        self.state = read_json(self.state_path)

    def names(self) -> Iterator[str]:
        try:
            with open(self.names_path, encoding="utf-8", errors="surrogateescape") as file:
                yield from (line.removesuffix("\n") for line in file)
        except FileNotFoundError:
            return

    def begin(self, folder: str, names: list[str]) -> None:
        """From here on these are ours, whenever the process ends."""
        with PartFile(self.names_path) as part:
            part.file.writelines(f"{name}\n".encode("utf-8", "surrogateescape") for name in names)
            part.sync()
            part.replace()
        write_json(self.state_path, {"folder": folder})

    def end(self, state: dict) -> None:
        write_json(self.state_path, state)
