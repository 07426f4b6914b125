"""Publish the rows of the step before on the Hugging Face Hub, while it is at work and when it is done."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from threading import Event
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field, NonNegativeFloat, PositiveInt

from shared.exports.declared import ColumnOptions, fields_of, types_of
from shared.far.addresses import shown_address
from shared.start import run
from shared.worker import Worker

if TYPE_CHECKING:
    from shared.files.table import Table
    from shared.forecast import Forecast
    from shared.run.run import Step

SAMPLING = ("temperature", "top_p", "top_k", "repetition_penalty", "max_tokens")


@dataclass
class Push(Worker):
    """Parquet parts of the rows of the step before, all rows in one file, and the parts on the Hub, each row once."""

    hf_repo: Annotated[str, Field(description="the dataset's repository; empty: nothing is pushed")] = ""
    hf_username: Annotated[str, Field(description="its owner; empty: the owner of the token")] = ""
    revision: Annotated[str, Field(description="the branch that is pushed to, made where it is missing")] = "main"
    no_push: Annotated[bool, Field(description="only write the files")] = False
    private: Annotated[bool, Field(description="a repository that is made is not for everyone to see")] = True
    push_every: Annotated[
        PositiveInt, Field(description="rows of a part; so many new ones are pushed while the step works")
    ] = 500
    seconds_between_pushes: Annotated[
        NonNegativeFloat,
        Field(
            description="at least; the Hub takes 128 commits an hour, which machines that push to one repository share"
        ),
    ] = 30
    columns: Annotated[
        dict[str, str | ColumnOptions],
        Field(
            description="columns in order, as `column: field`, or `column: {field: width, type: int}`; they are text otherwise"
        ),
    ] = field(default_factory=lambda: dict[str, str | ColumnOptions]())
    output: Annotated[str, Field(description="the file of all rows, in the step's folder", pattern=r"\.parquet$")] = (
        "all_rows.parquet"
    )
    with_images: Annotated[bool, Field(description="the parts hold the photographs too")] = False
    title: Annotated[str, Field(description="of the dataset's card; empty: the repository's name")] = ""
    license: Annotated[str, Field(description="of the rows, as the Hub calls it")] = "other"
    source_license: Annotated[str, Field(description="what the card says of the photographs' licence")] = ""
    model_license: Annotated[str, Field(description="what the card says of the model's licence")] = ""

    only_collects: ClassVar[bool] = True

    _pushed: list[Path] = field(init=False, default_factory=list)  # the parts that are on the Hub
    _parts: Any = field(init=False, default=None)  # and the repository: each is looked through once in a process
    _repository: Any = field(init=False, default=None)

    def check(self, label: str) -> None:
        from shared.errors import ConfigError

        if "key" not in fields_of(self.columns) or fields_of(self.columns)["key"] != "key":
            raise ConfigError(f"{label}: columns needs `key: key`, by which a row is told from another")

    @property
    def publishes(self) -> bool:
        return bool(self.hf_repo) and not self.no_push

    def forecast(self) -> "Forecast":
        from shared.forecast import Forecast

        return Forecast(repository=(self.hf_repo, self.hf_username) if self.publishes else None)

    def collect(self, rows: "Table", step: "Step") -> None:
        with pushing(step.folder):
            parts = self.parts(step)
            parts.add(rows, is_last=True)
            count = parts.write_all(step.folder / self.output, rows)
            step.tell(f"{count} rows in {step.folder / self.output} and {len(parts.paths())} parts")
            if not self.publishes:
                step.tell("nothing is pushed: " + ("no_push is true" if self.no_push else "hf_repo is empty"))
            else:
                self.push(step)

    def push_so_far(self, step: "Step", only_new: bool = False, ended: Event | None = None) -> None:
        """Push what the step before has recorded by now; `only_new`: where that made no new part, the Hub is not asked; once
        `ended` is set nothing is tried again. Raises PublishError.
        """
        from shared.hub.parts import rows_so_far

        with pushing(step.folder):
            source, parts = source_of(step), self.parts(step)
            parts.add(rows_so_far(source, parts.hashes()), is_last=source.result_path.exists())
            if not only_new or parts.paths() != self._pushed:
                self.push(step, ended)

    def parts(self, step: "Step") -> Any:
        from shared.hub.parts import Parts

        if self._parts is None:
            self._parts = Parts(
                step.folder / "data", fields_of(self.columns), types_of(self.columns), self.push_every, self.with_images
            )
        return self._parts

    def push(self, step: "Step", ended: Event | None = None) -> None:
        from huggingface_hub.constants import ENDPOINT

        from shared.errors import PublishError
        from shared.hub.publish import Repository, full_name

        paths = self.parts(step).paths()
        if not paths:
            return
        try:
            name = full_name(self.hf_repo, self.hf_username)
            if self._repository is None:
                self._repository = Repository(name, self.revision, self.private, self._marker(step), ended)
            commits = self._repository.publish(paths, self.card(step, name))
        except PublishError as error:
            raise PublishError(
                f"{step.label}: {error}; nothing recorded is lost, and this pushes the rest: {self._command(step)}"
            ) from error
        self._pushed = paths
        made = f" by {commits} commits" if commits else ", as they were"
        step.tell(f"{len(paths)} parts are in {ENDPOINT}/datasets/{name}{made}")

    def _command(self, step: "Step") -> str:
        """With which a person pushes the rest."""
        run = step.run
        variables = {"CONFIG": run.config.path, "INPUT": shown_address(run.config.meta_path), "OUTPUT_DIR": run.folder}
        options = {"hf_repo": self.hf_repo, "hf_username": self.hf_username, "revision": self.revision}
        usual = type(self)()
        words = [f"{name}={quote(str(value))}" for name, value in variables.items()] + ["./launcher.sh push"]
        return " ".join(
            words + [f"--set {name}={quote(value)}" for name, value in options.items() if value != getattr(usual, name)]
        )

    def card(self, step: "Step", name: str) -> str:
        from shared.hub.card import day_of, write_card

        source, parts = source_of(step), self.parts(step)
        options = source.settings
        given = (f"{option} {options[option]}" for option in SAMPLING if options.get(option) is not None)
        prompts = options.get("prompt") or []
        return write_card({
            "license": self.license, "title": self.title or name.rpartition("/")[2], "rows": parts.count(),
            "date": day_of(parts.paths()), "failures": source.records.count_failures(),
            "columns": fields_of(self.columns), "with_images": self.with_images, "model": options.get("model_path"),
            "engine": options.get("engine"), "sampling": ", ".join(given),
            "prompts": [prompts] if isinstance(prompts, str) else prompts,
            "source_license": self.source_license, "model_license": self.model_license,
        })  # fmt: skip

    def _marker(self, step: "Step") -> dict:
        """Which captioning the parts come from; it stays when a run goes on with other settings (ON_CHANGE=keep)."""
        from shared.files.small_files import read_json, write_json

        path = step.folder / "publication.json"
        marker = read_json(path) or {
            "fingerprint": source_of(step).fingerprint,
            "columns": list(fields_of(self.columns)),
        }
        write_json(path, marker)
        return marker


def source_of(step: "Step") -> "Step":
    """The step whose rows are published. Raises RunError."""
    from shared.errors import RunError

    before = [one for one in step.run.steps if one.number < step.number]
    if not before:
        raise RunError(f"{step.label} has no step before it, whose rows it would publish")
    return before[-1]


@contextmanager
def pushing(folder: Path) -> Iterator[None]:
    """One process at a time writes parts and pushes them; the kernel lets go when it dies."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / ".push.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    run(Push)
