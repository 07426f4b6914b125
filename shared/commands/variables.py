"""The variables at the top of launcher.sh as its commands read them: checked, and with paths that hold in any folder.

Nothing here needs a package: help is printed before anything is installed.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from shared.clusters.node import node_from_slurm
from shared.errors import ConfigError
from shared.files.lookup import ROOT

OPTIONS = {"BSZ": "batch_size", "MAX_NUM": "max_num", "TEMPERATURE": "temperature", "MODEL_PATH": "model_path"}
# Keys of a config, each of which may be said in the environment, as in Dataflow-Gen.
OF_RUNS = ("META_FOLDER", "BASE_FOLDER", "SAVE_FOLDER", "IMAGE_KEY", "TEXT_KEY", "VIDEO_KEY")
OF_CONFIGS = ("GPU_COUNT", "SOURCE", "SUB_PARTITION_NAME", "OUTPUT_DIR", "LOG_DIR")  # what a config may say for them
INPUTS = ("INPUT", "DATASET_DIR", "META_PATH")
NO_CUTDOWN = 9999999  # TEST_CUTDOWN of a run over everything


class Variables:
    """What a person has set, each checked when it is read. Raises ConfigError with the variable's name and its value.

    `CALLED_FROM` is the folder that the person is in: relative paths are that folder's.
    """

    def __init__(self, environ: Mapping[str, str]):
        self.environ = environ
        self.called_from = Path(environ.get("CALLED_FROM") or ROOT)
        self._read()

    def take_defaults(self, defaults: Mapping[str, str | int], config: Path) -> None:
        """What a config says of variables that a person has left empty. Raises ConfigError."""
        for name in defaults:
            if name not in OF_CONFIGS:
                raise ConfigError(f"{config}: launcher: no {name!r}; a config may set {', '.join(OF_CONFIGS)}")
        given = {name: value for name, value in self.environ.items() if value}
        said = {name: str(value) for name, value in defaults.items()}
        if "GPUS" in given:
            said.pop("GPU_COUNT", None)  # as many as are named
        self.environ = said | given
        self._read()

    def _read(self) -> None:
        self.steps = self.environ.get("STEPS", "all").strip()
        self.steps = "" if self.steps == "all" else self.steps
        self.gpus = self._ids("GPUS")
        self.gpu_count = None if self.environ.get("GPU_COUNT", "") in ("", "auto") else self._number("GPU_COUNT", 1, 1)
        self.gpus_per_worker = self._number("GPUS_PER_WORKER", 1, 1)
        node = node_from_slurm(self.environ)
        self.node_rank = self._number("NODE_RANK", node.rank, 0)
        self.node_count = self._number("NODE_COUNT", node.machines, 1)
        self.node_note = "" if self.environ.get("NODE_RANK") or self.environ.get("NODE_COUNT") else node.note
        if self.node_rank >= self.node_count:
            raise ConfigError(f"NODE_RANK is {self.node_rank} of {self.node_count} machines; the first is 0")
        self.array = self.environ.get("SLURM_ARRAY", "").strip()
        if not re.fullmatch(r"([0-9]+(-[0-9]+(:[0-9]+)?)?(,[0-9]+(-[0-9]+(:[0-9]+)?)?)*(%[0-9]+)?)?", self.array):
            raise ConfigError(f"SLURM_ARRAY is '{self.array}'; it should be as sbatch takes it: 0-63%16")
        self.max_restarts = self._number("MAX_RESTARTS", 3, 0)
        self.on_change = self._choice("ON_CHANGE", "error", "redo", "keep")
        at_most = self._number("TEST_CUTDOWN", NO_CUTDOWN, 1)
        self.at_most = None if at_most == NO_CUTDOWN else at_most
        self.launch_with = self._choice("LAUNCH_WITH", "local", "slurm", "ray")

    def config(self) -> str:
        return self.environ.get("CONFIG", "configs/relight.yaml")

    def input(self) -> str | None:
        return next((given for name in INPUTS if (given := self.environ.get(name))), None)

    def output_dir(self, config: Path, base_folder: Path | None = None) -> Path:
        """OUTPUT_DIR, else the config's base_folder, else what SOURCE and SUB_PARTITION_NAME name, else that of the config."""
        if given := self.environ.get("OUTPUT_DIR"):
            return self.called_from / given
        if base_folder:
            return base_folder
        source, partition = self.environ.get("SOURCE", ""), self.environ.get("SUB_PARTITION_NAME", "")
        return ROOT / "outputs" / (f"out_{source}_{partition}" if source or partition else config.stem)

    def log_dir(self) -> Path:
        given = self.environ.get("LOG_DIR")
        return self.called_from / given if given else ROOT / "logs"

    def settings(self) -> list[str]:
        """The variables that set an option of every step, as OPTION=VALUE."""
        given = {option: self.environ.get(variable, "") for variable, option in OPTIONS.items()}
        model = given["model_path"]
        if model and (self.called_from / model).is_dir():
            given["model_path"] = str(self.called_from / model)
        of_runs = {f"run.{name.lower()}": self.environ.get(name, "") for name in OF_RUNS}
        return [f"{option}={value}" for option, value in (given | of_runs).items() if value]

    def from_here(self, setting: str) -> str:
        """A setting whose folder leads from the person's own, in full; others as they are."""
        name, _, value = setting.partition("=")
        option = name.removeprefix("run.")
        if option in ("base_folder", "save_folder") or (
            option == "meta_folder" and (self.called_from / value).is_dir()
        ):
            return f"{name}={os.path.abspath(self.called_from / Path(value).expanduser())}" if value else setting
        return setting

    def find_config(self, text: str) -> Path:
        """Where a config is: in the person's folder, in the project's, or in configs/; as it was written where it is nowhere."""
        places = [self.called_from / text, ROOT / text, ROOT / "configs" / text]
        return next((place for place in places if place.is_file()), Path(text))

    def find_input(self, text: str | None) -> str | None:
        place = self.called_from / text if text else None
        return str(place) if place is not None and place.exists() else text

    def _number(self, variable: str, usual: int, least: int) -> int:
        text = self.environ.get(variable) or str(usual)
        if not re.fullmatch("[0-9]+", text) or int(text) < least:
            raise ConfigError(f"{variable} is '{text}'; it should be a whole number from {least} on")
        return int(text)

    def _choice(self, variable: str, *allowed: str) -> str:
        value = self.environ.get(variable) or allowed[0]
        if value not in allowed:
            words = f"{', '.join(allowed[:-1])} or {allowed[-1]}"
            raise ConfigError(f"{variable} is '{value}'; it should be {words}")
        return value

    def _ids(self, variable: str) -> list[str]:
        text = self.environ.get(variable, "")
        if not re.fullmatch(r"[0-9]*([, ]+[0-9]+)*", text):
            raise ConfigError(f"{variable} is '{text}'; it should be ids with commas between: 0,1,3")
        return text.replace(",", " ").split()
