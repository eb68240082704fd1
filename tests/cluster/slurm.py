"""A real Slurm of one node on this machine, in a folder: its own munge, controller and node daemon, and GPUs that are empty devices."""

import os
import shutil
import socket
import stat
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import psutil

GPUS = 2
LINES = 40  # of the controller's log that a failure shows
PROGRAMS = ("setpriv", "munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "scontrol")
CONFIGURATION = """\
ClusterName=penumbra
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=30
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
SlurmdParameters=config_overrides
ReturnToService=2
SlurmdTimeout=10
KillWait=2
MinJobAge=3600
GresTypes=gpu
NodeName=node NodeHostname={host} NodeAddr=127.0.0.1 CPUs=8 RealMemory=64000 Gres=gpu:fake:{gpus}
PartitionName=gpu Nodes=node MaxTime=UNLIMITED
PartitionName=cpu Nodes=node MaxTime=UNLIMITED
"""


def missing() -> str:
    """Why there can be no Slurm here; empty if nothing is in the way."""
    if os.geteuid():
        return "a Slurm can only be started by root"
    if absent := [name for name in PROGRAMS if not shutil.which(name)]:
        return f"{', '.join(absent)} not installed: apt-get install slurm-wlm munge"
    if not find_spec("snakemake_executor_plugin_slurm"):
        return "snakemake-executor-plugin-slurm is not installed: pip install 'penumbra[slurm]'"
    return ""


def until(condition: Callable[[], object], what: str, seconds: float = 60, said: Path | None = None) -> None:
    """Wait for a condition; fail with what was waited for, and with what a file holds, if one is given."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}\n{said.read_text() if said else ''}"
        time.sleep(0.1)


class Slurm:
    """A running Slurm below `folder`; partitions `gpu` and `cpu`, which share the node. `end` stops all of it."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._daemons: dict[str, subprocess.Popen] = {}
        for name in ("state", "spool", "bin"):
            (folder / name).mkdir(parents=True)
        folder.chmod(0o755)
        devices = [folder / f"gpu{index}" for index in range(GPUS)]
        for device in devices:
            os.mknod(device, 0o666 | stat.S_IFCHR, os.stat(os.devnull).st_rdev)
        (folder / "gres.conf").write_text("".join(f"NodeName=node Name=gpu Type=fake File={device}\n" for device in devices))
        settings = {"host": socket.gethostname().partition(".")[0], "ports": free_ports(2), "folder": folder, "gpus": GPUS}
        (folder / "slurm.conf").write_text(CONFIGURATION.format(**settings))
        (folder / "munge.key").write_bytes(os.urandom(128))
        (folder / "munge.key").chmod(0o400)
        srun = folder / "bin/srun"  # the plugin's jobs forget where the configuration is, if it is not in /etc
        srun.write_text(f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {shutil.which("srun")} "$@"\n')
        srun.chmod(0o755)

    @property
    def env(self) -> dict[str, str]:
        """What commands of Slurm, and those that call them, need to find this one."""
        return {"SLURM_CONF": f"{self.folder}/slurm.conf", "PATH": f"{self.folder}/bin:{os.environ['PATH']}"}

    def begin(self) -> "Slurm":
        """Start everything; return when the node is idle."""
        at = self.folder
        files = {
            "socket": "munge.socket",
            "key-file": "munge.key",
            "pid-file": "munged.pid",
            "seed-file": "munged.seed",
            "log-file": "munged.log",
        }
        self._start("munged", "--foreground", "--force", *(f"--{option}={at / name}" for option, name in files.items()))
        until((at / "munge.socket").exists, "munged")
        self.start_controller()
        self.start_node()
        until(lambda: "idle" in self.ask("sinfo", "--noheader", "--format=%T"), f"the node to be idle; see {at}/*.log")
        return self

    def start_controller(self) -> None:
        """Start slurmctld."""
        self._start("slurmctld", "-D", "-L", f"{self.folder}/slurmctld.log")

    def start_node(self) -> None:
        """Start slurmd."""
        self._start("slurmd", "-D", "-L", f"{self.folder}/slurmd.log")

    def stop(self, name: str) -> None:
        """Stop a daemon."""
        daemon = self._daemons.pop(name)
        daemon.terminate()
        daemon.wait()

    def kill_node(self) -> None:
        """Let the node die, with all that runs on it."""
        daemon = self._daemons.pop("slurmd")
        jobs = [process for process in psutil.process_iter(["name"]) if process.info["name"] == "slurmstepd" and self._has(process)]
        for process in [psutil.Process(daemon.pid), *jobs, *(child for job in jobs for child in job.children(recursive=True))]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        daemon.wait()

    def cancel(self) -> None:
        """End all jobs."""
        self.ask("scancel", "--user=root")
        until(lambda: not self.states(), "jobs to end")

    def end(self) -> None:
        """Cancel what is left and stop every daemon."""
        self.cancel()
        for name in reversed(list(self._daemons)):
            self.stop(name)

    def ask(self, *command: str) -> str:
        """What a command of Slurm prints."""
        return subprocess.run(command, env=os.environ | self.env, capture_output=True, text=True).stdout

    def states(self) -> dict[str, str]:
        """Number and state of each job that is waiting or at work."""
        return dict(line.split() for line in self.ask("squeue", "--noheader", "--format=%i %T").splitlines())

    def jobs(self) -> list[dict[str, str]]:
        """All jobs since the beginning, each as `scontrol show job` prints it."""
        found = self.ask("scontrol", "--oneliner", "show", "job").splitlines()
        return [dict(field.split("=", 1) for field in line.split() if "=" in field) for line in found if line.startswith("JobId=")]

    def situation(self) -> str:
        """What to look at when something went wrong."""
        log = (self.folder / "slurmctld.log").read_text().splitlines()[-LINES:]
        return "\n".join([self.ask("squeue"), self.ask("sinfo"), *log])

    def _has(self, step: psutil.Process) -> bool:
        """Whether a slurmstepd is of this Slurm, and of no other on this machine; the jobs know, it has lost its environment."""
        for child in step.children():
            with suppress(psutil.NoSuchProcess):
                if child.environ().get("SLURM_CONF") == self.env["SLURM_CONF"]:
                    return True
        return False

    def _start(self, name: str, *arguments: str) -> None:
        program = ["setpriv", "--pdeathsig", "KILL", str(shutil.which(name)), *arguments]  # they do not outlive killed tests
        with (self.folder / f"{name}.out").open("a") as out:
            self._daemons[name] = subprocess.Popen(program, env=os.environ | self.env, stdout=out, stderr=out)


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens at."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
