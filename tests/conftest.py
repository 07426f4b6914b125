"""A copy of the project in a temporary folder, with a toy step, launched as a person launches it."""

import atexit
import csv
import fcntl
import functools
import gc
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import hypothesis
import pytest
import yaml

# Tests run side by side; threads of theirs that wait for one another would take the cores from the others.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.pop("CALLED_FROM", None)  # of the launcher that runs these tests
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # hundreds of processes would compile the project's modules

from shared.files.pack import Pack
from tests import tiny_diffusion
from tests.dealing import pytest_collection_modifyitems, pytest_xdist_auto_num_workers  # noqa: F401 (pytest finds them here)

gc.disable()  # what is imported while tests are collected stays to the end, and looking through it again and again takes long


def pytest_collection_finish():
    gc.collect()
    gc.freeze()
    gc.enable()


hypothesis.settings.register_profile(
    "suite", deadline=None
)  # an example may take long on a machine that does other things
hypothesis.settings.load_profile("suite")

ROOT = Path(__file__).resolve().parent.parent
# What vLLM finds out about an architecture costs a process that imports it; all tests share it.
VLLM_CACHE = Path(tempfile.gettempdir()) / f"vllm-of-tests-{os.getuid()}"
VARIABLES = (
    "CONFIG STEPS INPUT OUTPUT_DIR LOG_DIR GPU_COUNT GPUS GPUS_PER_WORKER NODE_RANK NODE_COUNT LAUNCH_WITH SLURM_ARRAY BSZ MAX_NUM "
    "TEMPERATURE MODEL_PATH DATASET_DIR SOURCE SUB_PARTITION_NAME TEST_CUTDOWN MAX_RESTARTS ON_CHANGE"
).split()
KEYS_OF_CONFIGS = "META_PATH META_FOLDER BASE_FOLDER SAVE_FOLDER IMAGE_KEY TEXT_KEY VIDEO_KEY".split()


@functools.cache
def checkout() -> Path:
    """The product's modules, copied once for this process: hundreds of projects hold links to these files."""
    folder = Path(tempfile.mkdtemp(prefix="checkout-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name in ("shared", "workers"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("*.pyc.*"))
    return folder


def linked(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # on another file system
        shutil.copy2(source, target)


class Project:
    """A checkout of its own; `run` waits for launcher.sh, `launch` does not."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.output = folder / "out"
        self.config = folder / "toy.yaml"
        self.input = folder / "items.csv"
        self.called_from = folder
        self.launched: list[subprocess.Popen] = []
        for name in ("shared", "workers"):
            shutil.copytree(checkout() / name, folder / name, copy_function=linked)
        shutil.copy(ROOT / "launcher.sh", folder)
        shutil.copy(ROOT / "requirements-core.txt", folder)
        shutil.copy(ROOT / "tests" / "toy.py", folder / "workers" / "toy.py")
        os.symlink(ROOT / "configs", folder / "configs")

    def items(self, count: int) -> list[str]:
        """Write a table of that many items, without images; returns their keys."""
        keys = [f"item{number:04d}" for number in range(count)]
        with open(self.input, "w", newline="") as file:
            csv.writer(file).writerows([["key", "place"], *([key, number] for number, key in enumerate(keys))])
        return keys

    def write_config(self, *steps: dict, **top) -> None:
        entries = [{"type": "toy", "config": step} if "type" not in step else step for step in steps]
        self.config.write_text(
            yaml.safe_dump({"meta_path": str(self.input), "image_key": None, "steps": entries} | top)
        )

    def environment(self, variables: dict) -> dict:
        kept = {name: value for name, value in os.environ.items() if name not in (*VARIABLES, *KEYS_OF_CONFIGS)}
        mine = {"PYTHON": sys.executable, "OUTPUT_DIR": self.output, "LOG_DIR": self.folder / "logs", "GPU_COUNT": 2}
        if self.config.exists():
            mine["CONFIG"] = self.config
        return kept | {name: str(value) for name, value in (mine | variables).items()}

    def launch(self, *words: str, **variables) -> subprocess.Popen:
        process = subprocess.Popen(
            [self.folder / "launcher.sh", *words], env=self.environment(variables), text=True, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=heed_ctrl_c,
            cwd=self.called_from,
        )  # fmt: skip
        self.launched.append(process)
        return process

    def close(self) -> None:
        """End what a test that failed has left; the workers notice that their launcher is gone."""
        for process in self.launched:
            if process.poll() is None:
                process.kill()
                process.wait()
            process.stdout.close()

    def run(self, *words: str, timeout: float = 600, **variables) -> subprocess.CompletedProcess:
        process = self.launch(*words, **variables)
        output, _ = process.communicate(timeout=timeout)
        return subprocess.CompletedProcess(process.args, process.returncode, output)

    @property
    def step(self) -> Path:
        return self.output / "step_1_toy"

    def computed(self) -> list[list[str]]:
        """gpu, whether it had a record, key: of everything that process() was given, in order."""
        path = self.step / "computed"
        return [line.split(" ", 2) for line in path.read_text().splitlines()] if path.exists() else []

    def recorded(self) -> dict[str, dict]:
        """What every record says, whether it is a file or a line."""
        folder = self.step / "records"
        found = [json.loads(path.read_text()) for path in folder.rglob("*") if path.is_file()]
        found += map(json.loads, Pack(self.step / "packed" / "records", self.step).each())
        return {record["key"]: record for record in found}

    def rows(self, step: str = "step_1_toy") -> list[dict]:
        return [json.loads(line) for line in (self.output / step / "result.jsonl").read_text().splitlines()]

    def processes(self) -> list[str]:
        """The command lines of all processes that belong to this checkout."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                place = os.readlink(entry / "cwd")
            except OSError:
                continue
            if place == str(self.folder) and any(mark in words for mark in ("workers.", "shared.", "launcher.sh")):
                found.append(words)
        return found

    def leftovers(self) -> list[str]:
        """Half-written files anywhere in the run's folder."""
        return sorted(
            str(path) for path in self.output.rglob("*") if path.name.endswith(".part") or path.parent.name == "parts"
        )


def heed_ctrl_c() -> None:
    """A shell's background job ignores SIGINT, and bash cannot trap what was ignored before it began."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def project(tmp_path: Path):
    made = Project(tmp_path)
    yield made
    made.close()


class DefaultRun:
    """The run of the README's first command; tests look at it and leave it as it is."""

    def __init__(self, folder: Path):
        self.output, self.logs = folder / "run", folder / "logs"
        self.said_path = folder / "said.txt"

    @property
    def said(self) -> str:
        return self.said_path.read_text()

    def look(self, *words: str, **variables) -> subprocess.CompletedProcess:
        environment = {name: value for name, value in os.environ.items() if name not in (*VARIABLES, *KEYS_OF_CONFIGS)}
        environment |= {
            "PYTHON": sys.executable,
            "OUTPUT_DIR": str(self.output),
            "LOG_DIR": str(self.logs),
            "GPU_COUNT": "2",
        }
        environment |= {name: str(value) for name, value in variables.items()}
        return subprocess.run(
            [ROOT / "launcher.sh", *words], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip


def made_once(tmp_path_factory, name: str, make) -> Path:
    """A folder that `make(folder)` has filled, in whichever of the processes that test side by side asks first."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    folder.mkdir(exist_ok=True)
    with open(folder.with_name(f"{name}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = folder.with_name(f"{name}.done")
        if not done.exists():
            make(folder)
            done.touch()
    return folder


@pytest.fixture(scope="session")
def default_run(tmp_path_factory) -> DefaultRun:
    """Launched once, whichever of the processes that test side by side asks first."""
    base = tmp_path_factory.getbasetemp()
    made = DefaultRun((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "default_run")
    made.logs.mkdir(parents=True, exist_ok=True)
    with open(made.logs.parent / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.said_path.exists():
            done = made.look()
            assert done.returncode == 0, done.stdout
            made.said_path.write_text(done.stdout)
    return made


@pytest.fixture(scope="session")
def tiny_sd15(tmp_path_factory) -> str:
    """The folder of a tiny random Stable Diffusion 1.5; the four below likewise."""
    return str(tiny_diffusion.make_stable_diffusion(tmp_path_factory.mktemp("models") / "sd15"))


@pytest.fixture(scope="session")
def tiny_sd15_edits(tmp_path_factory) -> str:
    return str(tiny_diffusion.make_stable_diffusion(tmp_path_factory.mktemp("models") / "sd15_edits", edits=True))


@pytest.fixture(scope="session")
def tiny_sdxl(tmp_path_factory) -> str:
    return str(tiny_diffusion.make_stable_diffusion_xl(tmp_path_factory.mktemp("models") / "sdxl"))


@pytest.fixture(scope="session")
def tiny_sdxl_edits(tmp_path_factory) -> str:
    return str(tiny_diffusion.make_stable_diffusion_xl(tmp_path_factory.mktemp("models") / "sdxl_edits", edits=True))


@pytest.fixture(scope="session")
def tiny_flux(tmp_path_factory) -> str:
    return str(tiny_diffusion.make_flux(tmp_path_factory.mktemp("models") / "flux"))


@pytest.fixture(scope="session")
def tiny_models(tiny_sd15, tiny_sdxl, tiny_flux) -> dict[str, str]:
    """The base model of each family that is trained."""
    return {"sd15": tiny_sd15, "sdxl": tiny_sdxl, "flux": tiny_flux}


def wait_until(condition, seconds: float = 120):
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "gave up waiting"
        time.sleep(0.01)
    return value
