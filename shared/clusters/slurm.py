"""A run as a job of Slurm: the batch script, and what sbatch, squeue, scontrol and scancel are asked about it."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from shared.errors import ConfigError, RunError

SlurmOption = str | int | float | bool | None
OURS = {
    "nodes": "NODE_COUNT",
    "ntasks-per-node": "one launcher on each machine",
    "array": "SLURM_ARRAY",
    "output": "LOG_DIR",
}
ASKS_FOR_GPUS = ("gpus-per-node", "gpus", "gpus-per-task", "gres")
OF_SRUN = "container"  # options that begin so put the launcher into a container, and not the batch script
PENDING, COMPLETING = "PENDING", "COMPLETING"

# Slurm sends TERM to the script 120 s before the time limit, and a preempting job's TERM to the launchers themselves.
# srun ends its step when it is sent a TERM, and what scancel sends reaches every process of the step, engines too: URG is a
# signal that all ignore who do not listen to it, and the launchers do.
BODY = """
job=${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID} # an array's number alone means all of its tasks
job=${job:-$SLURM_JOB_ID} stop_asked=no status=0
trap 'stop_asked=yes; scancel --signal=URG "$job"' TERM
[[ -z ${SLURM_CPUS_PER_TASK:-} ]] || export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK
%s%s &
launchers=$!
while kill -0 "$launchers" 2>/dev/null; do sleep 1; done
wait "$launchers" || status=$?
trap - TERM
about=$(scontrol show job "$job")
if [[ $status == 4 && $about == *Requeue=1* && ($stop_asked == yes || $about == *PreemptTime=[0-9]*) ]]; then
    echo "launcher: out of time or preempted; job $job waits in the queue again, and goes on from here"
    scontrol requeue "$job" && sleep 60 # until Slurm ends this script
fi
exit "$status"
"""
# Where the processes of a training on several machines meet: the first one's address, as Slurm's configuration has it.
MEETING = """MASTER_ADDR=$(scontrol show node --oneliner "$SLURM_NODELIST" | sed -n '1s/.* NodeAddr=\\([^ ]*\\).*/\\1/p')
export MASTER_ADDR MASTER_PORT=$((20000 + SLURM_JOB_ID % 10000))
"""


@dataclass(frozen=True)
class SlurmJob:
    """What a batch script is made of. `gpus` of each machine, None where the options ask for them or none are wanted."""

    name: str
    nodes: int
    gpus: int | None
    log_dir: Path
    folder: Path  # that the person is in
    command: list[str]  # what runs once on each machine
    variables: Mapping[str, str]
    options: Mapping[str, SlurmOption]  # of sbatch, by their long names
    array: str = ""  # `0-63%16`: so many jobs of one machine each

    @property
    def log(self) -> str:
        """As Slurm writes it: %j is the job, %A_%a an array's job and task."""
        return str(self.log_dir / ("slurm-%A_%a.log" if self.array else "slurm-%j.log"))


def checked_options(given: Mapping[str, SlurmOption], where: str) -> dict[str, SlurmOption]:
    """Options by their long names, with hyphens. Raises ConfigError where one is said elsewhere."""
    options = {str(name).replace("_", "-").lstrip("-"): value for name, value in given.items()}
    for name in options:
        if name in OURS:
            raise ConfigError(f"{where}: {name} does not belong here; it is {OURS[name]}")
    return options


def batch_script(job: SlurmJob) -> str:
    """The script that sbatch takes, whole: it carries the variables and needs no other file."""
    options: dict[str, SlurmOption] = {
        "job-name": job.name,
        "array": job.array or None,
        "nodes": 1 if job.array else job.nodes,
        "ntasks-per-node": 1,
        "gpus-per-node": job.gpus,
        "requeue": True,
        "open-mode": "append",
        "signal": "B:TERM@120",
        "export": "ALL",
        "output": job.log,
    }
    options |= job.options
    lines = [f"#SBATCH {word}" for name, value in options.items() for word in words_of_option(name, value, OF_SRUN)]
    exports = [f"export {name}={shlex.quote(value)}" for name, value in sorted(job.variables.items())]
    of_srun = [
        word for name, value in options.items() if name.startswith(OF_SRUN) for word in words_of_option(name, value)
    ]
    srun = shlex.join(
        ["srun", "--kill-on-bad-exit=0", *["--label"] * (job.nodes > 1 and not job.array), *of_srun, *job.command]
    )
    top = [
        "#!/usr/bin/env bash",
        *lines,
        "",
        "unset NODE_RANK NODE_COUNT SLURM_ARRAY",
        *exports,
        f"cd {shlex.quote(str(job.folder))} || exit 1",
    ]
    return "\n".join(top) + BODY % ("" if job.array else MEETING, srun)


def words_of_option(name: str, value: SlurmOption, without: str = "") -> list[str]:
    if value in (None, False, "") or (name == "gpus-per-node" and value == 0) or (without and name.startswith(without)):
        return []
    return [f"--{name}"] if value is True else [f"--{name}={value}"]


def submit_script(script: str) -> str:
    """Hand a script to sbatch; returns the job's id. Raises RunError with what sbatch says."""
    return ask_slurm("sbatch", "--parsable", given=script).strip().partition(";")[0]


def try_script(script: str) -> str:
    """What sbatch says of a script without submitting it: when and where it would start. Raises RunError."""
    return ask_slurm("sbatch", "--test-only", given=script).strip()


class Queued(NamedTuple):
    """A job, or tasks of an array of jobs, as squeue lists them."""

    id: str  # 12, or 12_3, or 12_[4-63%16]
    job: str  # 12
    state: str  # PENDING, RUNNING, COMPLETING ...
    reason: str
    nodes: str
    place: str
    time: str

    def __str__(self) -> str:
        machines = f"{self.nodes} machine{'s' if self.nodes != '1' else ''}"
        if self.state == PENDING:
            return f"job {self.id} waits for {machines} ({self.reason})"
        return f"job {self.id} {self.state.lower()} for {self.time} on {self.place or machines}"


def queued(jobs: Iterable[str]) -> list[Queued]:
    """Those of the jobs that wait or run, from squeue. Raises RunError."""
    wanted = set(jobs)
    if not wanted:
        return []
    listed = ask_slurm("squeue", "--noheader", f"--user={os.getuid()}", "--format=%i|%F|%T|%r|%D|%N|%M")
    rows = [Queued(*line.strip().split("|")) for line in listed.splitlines() if line.count("|") == 6]
    return [row for row in rows if row.job in wanted]


def stop_jobs(rows: list[Queued]) -> None:
    """Take back what waits; ask what runs to finish what it has begun, and not to be queued again. Raises RunError."""
    for job in {row.job for row in rows if row.state == PENDING}:
        ask_slurm("scancel", "--state=PENDING", job)
    for row in rows:
        if row.state not in (PENDING, COMPLETING):
            ask_slurm("scontrol", "update", f"JobId={row.id}", "Requeue=0")
            ask_slurm("scancel", "--batch", "--signal=TERM", row.id)


def ask_slurm(*words: str, given: str = "") -> str:
    """What one of Slurm's programs prints. Raises RunError, with its own last line where it refuses."""
    if shutil.which(words[0]) is None:
        raise RunError(f"{words[0]} is not on the PATH; jobs of Slurm are seen from a login node of its cluster")
    done = subprocess.run(words, input=given, capture_output=True, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"ended with status {done.returncode}"]
        said = " ".join(line.removeprefix(f"{words[0]}: ").removeprefix("error: ").strip() for line in lines)
        raise RunError(f"{words[0]}: {said}")
    return done.stdout + (done.stderr if "--test-only" in words else "")
