"""A Slurm of two machines with two GPUs each, all of it on this one: a controller, two slurmd, no accounting, no munge.

Its programs are those on the PATH, or else Debian's packages, unpacked into a temporary folder.
"""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

PACKAGES = "slurmctld slurmd slurm-client slurm-wlm-basic-plugins libmunge2 libhwloc15 liblua5.1-0".split()
PROGRAMS = ("slurmctld", "slurmd", "slurmstepd")
PLUGINS = "usr/lib/*-linux-gnu*/slurm-wlm"
CONFIGURATION = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/none
CredType=cred/none
PluginDir={plugins}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=1,sched_interval=2
ReturnToService=2
MpiDefault=none
MailProg=/bin/true
GresTypes=gpu
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SlurmdParameters=config_overrides
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=10
NodeName=n[0-1] NodeHostname={host} NodeAddr=127.0.0.1 Port=[{ports[1]}-{ports[2]}] CPUs=8 RealMemory=4000 Gres=gpu:2 State=UNKNOWN
PartitionName=gpu Nodes=n[0-1] Default=YES MaxTime=INFINITE State=UP PriorityTier=1 GraceTime=300 PreemptMode=REQUEUE
PartitionName=urgent Nodes=n[0-1] MaxTime=INFINITE State=UP PriorityTier=10
"""
# A GPU is a character device to Slurm; these two are on every machine.
GPUS = "NodeName=n[0-1] Name=gpu File=/dev/null\nNodeName=n[0-1] Name=gpu File=/dev/zero\n"


def find_programs() -> tuple[dict[str, str], Path]:
    """Where each program is, and the folder of the plugins; skips the test where there is no Slurm to be had."""
    if all(shutil.which(name) for name in (*PROGRAMS[:2], "sbatch")):
        found = next(Path("/").glob(PLUGINS), None) or Path("/usr/lib/slurm")
        stepd = shutil.which("slurmstepd") or "/usr/sbin/slurmstepd"
        return {name: shutil.which(name) or "" for name in PROGRAMS[:2]} | {"slurmstepd": stepd}, found
    root = Path(tempfile.gettempdir()) / f"slurm-of-tests-{os.getuid()}"
    if not (root / "ready").exists():
        unpack(root)
    return {name: str(root / "usr/sbin" / name) for name in PROGRAMS}, next(root.glob(PLUGINS))


def unpack(root: Path) -> None:
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        pytest.skip("no Slurm on the PATH, and no apt-get to fetch it with")
    shutil.rmtree(root, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        fetch = ["apt-get", "download", "-qq", *PACKAGES]
        if subprocess.run(fetch, cwd=folder, capture_output=True).returncode:
            subprocess.run(["apt-get", "update", "-qq"], capture_output=True)
            done = subprocess.run(fetch, cwd=folder, capture_output=True, text=True)
            if done.returncode:
                pytest.skip(f"no Slurm on the PATH, and apt-get does not fetch it: {done.stderr.strip()[-200:]}")
        for package in sorted(Path(folder).glob("*.deb")):
            subprocess.run(["dpkg-deb", "-x", package, root], check=True)
    for name in PROGRAMS:  # each looks at its own name to know what it is
        target = root / "usr/sbin" / name
        if target.is_symlink() or not target.exists():
            target.unlink(missing_ok=True)
            target.symlink_to(f"{name}-wlm")
    (root / "ready").touch()


def free_ports() -> list[int]:
    """Three of them, the last two side by side."""
    while True:
        sockets = [socket.socket() for _ in range(3)]
        try:
            sockets[0].bind(("", 0))
            sockets[1].bind(("", 0))
            sockets[2].bind(("", sockets[1].getsockname()[1] + 1))
            return [one.getsockname()[1] for one in sockets]
        except OSError:
            continue
        finally:
            for one in sockets:
                one.close()


class Cluster:
    """`environment` is what a person on the login node has."""

    def __init__(self, folder: Path):
        programs, plugins = find_programs()
        for name in ("state", "spool-n0", "spool-n1"):
            (folder / name).mkdir(parents=True)
        self.folder, self.pids = folder, []
        text = CONFIGURATION.format(
            host=socket.gethostname(), ports=free_ports(), user=getpass.getuser(), plugins=plugins, folder=folder
        )
        (folder / "slurm.conf").write_text(text)
        (folder / "gres.conf").write_text(GPUS)
        places = [str(Path(programs["slurmctld"]).parent), str(Path(programs["slurmctld"]).parent.parent / "bin")]
        self.environment = {
            "SLURM_CONF": str(folder / "slurm.conf"),
            "PATH": ":".join([*places, os.environ["PATH"]]),
            "LD_LIBRARY_PATH": f"{plugins.parent}:{plugins}",
        }
        self.daemons = [
            self._start(programs["slurmctld"], "-D", "-c"),
            *(self._start(programs["slurmd"], "-D", "-N", name, "-d", programs["slurmstepd"]) for name in ("n0", "n1")),
        ]
        self.wait(lambda: self.ask("sinfo", "-h", "-N", "-p", "gpu", "-o", "%T").split() == ["idle"] * 2)

    def _start(self, *words: str) -> subprocess.Popen:
        with open(self.folder / "daemons.log", "ab") as log:
            return subprocess.Popen(words, env=os.environ | self.environment, stdout=log, stderr=log)

    def ask(self, *words: str) -> str:
        done = subprocess.run(words, env=os.environ | self.environment, capture_output=True, text=True)
        return done.stdout

    def state(self, job: str) -> str:
        """PENDING, RUNNING ...; empty when it has left the queue."""
        return " ".join(sorted(set(self.ask("squeue", "-h", "-j", job, "-o", "%T").split())))

    def wait(self, condition: Callable[[], object], seconds: float = 600) -> None:
        limit = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < limit, self.ask("squeue") + (self.folder / "slurmctld.log").read_text()[-2000:]
            time.sleep(0.2)

    def let_go_on(self, job: str) -> None:
        """A job that is queued again waits two minutes. Here five seconds, in which the machines forget its first try."""
        self.wait(lambda: self.state(job) == "PENDING")
        self.ask("scontrol", "update", f"JobId={job}", "StartTime=now+5")

    def close(self) -> None:
        self.ask("scancel", f"--user={os.getuid()}")
        with suppress(AssertionError):
            self.wait(lambda: not self.ask("squeue", "-h"), 30)
        for daemon in reversed(self.daemons):
            daemon.send_signal(signal.SIGTERM)
        for daemon in self.daemons:
            try:
                daemon.wait(30)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
