"""LAUNCH_WITH=slurm: the run as a job that goes on by itself, and its jobs afterwards."""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from shared.clusters import slurm
from shared.commands.next_step import check_before_run, run_words
from shared.commands.telling import say
from shared.commands.variables import OF_CONFIGS, OF_RUNS, OPTIONS, Variables
from shared.doctor import two_machines
from shared.doctor.disk import existing
from shared.doctor.finding import Finding, fail, ok, warn
from shared.errors import ConfigError, RunError
from shared.files.lookup import ROOT
from shared.run.run import Run

# What a job is told by name; everything else of the environment, keys too, goes with it through sbatch.
CARRIED = (
    *("STEPS", "GPUS", "GPUS_PER_WORKER", "TEST_CUTDOWN", "MAX_RESTARTS", "ON_CHANGE", "PYTHON"),
    *(*OF_CONFIGS, *OPTIONS, *OF_RUNS),
)
JOBS_FILE = "slurm_jobs.txt"  # in the run's folder: the ids of its jobs, a line each
SECONDS_FOR_NODE = 120  # that doctor waits for a machine


def submit(arguments: argparse.Namespace, run: Run, variables: Variables) -> int:
    """Print the batch script, or hand it to sbatch and say how the job is followed.

    Raises RunError, DatasetError, ConfigError, all of them before anything is created.
    """
    job = job_of(arguments, run, variables)
    script = slurm.batch_script(job)
    if arguments.dry_run:
        print(script, end="")
        return 0
    check_before_run(run, variables)
    for row in jobs_of(run):
        say(f"note: {row} is of this run too; they share its items")
    variables.log_dir().mkdir(parents=True, exist_ok=True)
    id = slurm.submit_script(script)
    run.folder.mkdir(parents=True, exist_ok=True)
    with open(run.folder / JOBS_FILE, "a") as file:
        file.write(f"{id}\n")
    log = job.log.replace("%A_%a", f"{id}_*").replace("%j", id)
    where = f"an array of single machines, {job.array}" if job.array else f"{job.nodes} machine{'s' * (job.nodes > 1)}"
    say(f"job {id}: {where}{f' with {job.gpus} GPUs each' if job.gpus else ''}")
    say(f"follow it with: tail -F {log} {variables.log_dir()}/gpu*.log")
    words = f"CONFIG={arguments.config} OUTPUT_DIR={run.folder} ./launcher.sh"
    say(f"see how far it is with: {words} status; stop it with: {words} stop")
    return 0


def job_of(arguments: argparse.Namespace, run: Run, variables: Variables) -> slurm.SlurmJob:
    options = slurm.checked_options(run.config.slurm, f"{run.config.path}: slurm")
    gpus = None
    asked_in_environment = any(
        os.environ.get(f"SBATCH_{name.upper().replace('-', '_')}") for name in slurm.ASKS_FOR_GPUS
    )
    if not asked_in_environment and not any(name in options for name in slurm.ASKS_FOR_GPUS):
        gpus = max((int(id) + 1 for id in variables.gpus), default=variables.gpu_count)
        if gpus is None:
            raise ConfigError(
                "GPU_COUNT is empty; with LAUNCH_WITH=slurm it says how many GPUs of each machine are asked for: GPU_COUNT=8 "
                "(and `gpus-per-node: 0` in the config's block `slurm:` where there are none)"
            )
    carried = {name: value for name in CARRIED if (value := variables.environ.get(name))}
    carried |= {"OUTPUT_DIR": str(run.folder), "LOG_DIR": str(variables.log_dir()), "LAUNCH_WITH": "local"}
    return slurm.SlurmJob(
        name=run.folder.name,
        nodes=variables.node_count,
        gpus=gpus,
        log_dir=variables.log_dir(),
        folder=variables.called_from,
        command=[str(ROOT / "launcher.sh"), "run", *run_words(arguments)],
        variables=carried,
        options=options,
        array=variables.array,
    )


def jobs_of(run: Run) -> list[slurm.Queued]:
    """The run's jobs that wait or run; none where the run has had no job. Raises RunError where squeue does not answer."""
    try:
        return slurm.queued((run.folder / JOBS_FILE).read_text().split())
    except FileNotFoundError:
        return []


def print_jobs(run: Run) -> int:
    """A line for each job that waits or runs; returns how many there are."""
    try:
        rows = jobs_of(run)
    except RunError as error:  # the files say the rest, on a machine without Slurm too
        print(f"its jobs are not known here: {error}")
        return 0
    for row in rows:
        print(row)
    return len(rows)


def stop_jobs_of(run: Run, say: Callable[[str], None]) -> int:
    """Take back the run's waiting jobs, and ask its running ones to end after what they have begun; returns how many."""
    rows = jobs_of(run)
    slurm.stop_jobs(rows)
    for row in rows:
        said = "is taken back" if row.state == slurm.PENDING else "is asked to stop, and is not queued again"
        say(f"job {row.id} {said}")
    return len(rows)


def examine_cluster(arguments: argparse.Namespace, run: Run, variables: Variables) -> int:
    """What sbatch says of the job; then doctor itself on a machine of the cluster. Returns 0 when nothing is in the way."""
    job, marks = job_of(arguments, run, variables), set()
    for finding in findings_of_cluster(job):
        print(finding, flush=True)
        marks.add(finding.mark)
    if "FAIL" in marks or arguments.quick:
        return 1 if "FAIL" in marks else 0
    more = [word for name, value in job.options.items() for word in slurm.words_of_option(name, value)]
    more += slurm.words_of_option("gpus-per-node", job.gpus)
    command = [str(ROOT / "launcher.sh"), "doctor", *run_words(arguments)]
    print(f"on a machine of the cluster, for which this waits {SECONDS_FOR_NODE} s at most:", flush=True)
    words = ["srun", f"--immediate={SECONDS_FOR_NODE}", "--job-name=doctor", *more]
    environment = os.environ | job.variables
    status = subprocess.run([*words, "--nodes=1", "--ntasks=1", *command], env=environment, cwd=job.folder).returncode
    if job.nodes > 1 or job.array:
        finding = try_locks(words, run, environment)
        print(finding, flush=True)
        status = status or finding.mark == "FAIL"
    return min(1, status)


def try_locks(srun: list[str], run: Run, environment: dict[str, str]) -> Finding:
    """One machine holds a lock in the run's folder, another asks for it."""
    python = environment.get("PYTHON") or sys.executable
    with tempfile.TemporaryDirectory(prefix=".doctor-", dir=existing(run.folder), ignore_cleanup_errors=True) as trial:
        words = [*srun, "--nodes=2", "--ntasks=2", "--ntasks-per-node=1", python, "-m", two_machines.__name__, trial]
        done = subprocess.run(words, env=environment, cwd=ROOT, capture_output=True, text=True)
    said, place = done.stdout.strip(), existing(run.folder)
    if said == two_machines.HOLD:
        return ok(f"{said}, under {place}")
    if said == two_machines.DO_NOT_HOLD and run.leased:
        return ok(f"{said}, under {place}: claims are files")
    if said == two_machines.DO_NOT_HOLD:
        return fail(f"{said}, under {place}; set `claims: files` in the config, or take another OUTPUT_DIR")
    if said == two_machines.NOT_SHARED:
        return fail(f"{said} under {place}; take a folder for OUTPUT_DIR that all of them share")
    reason = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
    return warn(f"whether locks hold between two machines could not be tried: {reason}")


def findings_of_cluster(job: slurm.SlurmJob) -> Iterator[Finding]:
    if missing := [name for name in ("sbatch", "srun", "squeue", "scontrol", "scancel") if not shutil.which(name)]:
        yield fail(f"Slurm: {', '.join(missing)} not on the PATH; start this from a login node of the cluster")
        return
    try:
        yield ok(f"Slurm: {slurm.ask_slurm('sbatch', '--version').strip()}")
        for line in slurm.try_script(slurm.batch_script(job)).splitlines():
            yield ok(f"Slurm: {line.removeprefix('sbatch: ')}")
    except RunError as error:
        yield fail(
            f"Slurm refuses the job: {error}; change the block `slurm:` of the config, or GPU_COUNT and NODE_COUNT"
        )
    if job.nodes > 1 and Path(job.log_dir).is_relative_to("/tmp"):
        yield warn(f"LOG_DIR is {job.log_dir}, which is a folder of each machine's own; take one that all of them see")
