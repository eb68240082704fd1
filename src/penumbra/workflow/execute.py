"""`penumbra run`: Snakemake for some stages alone. DVC has decided that they run; nothing else may."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from penumbra.artifacts.tables import read_json
from penumbra.errors import PenumbraError
from penumbra.workflow import code, cost, leftovers, receipt
from penumbra.workflow.contract import CODE, Contract, Entry, dig

WORKFLOW_PROFILE = Path("profiles/default")
PARTS = Path(".penumbra/parts")
PARTS_PAY = 15.0  # seconds of work from which parts are worth it, each of which loads torch anew
RECORD_SECONDS = 60.0  # a killed run loses the record of stages that finished since
TAIL = 15  # lines of a failed job's log to show


def rule(entry: Entry) -> str:
    """The name of the Snakemake rule of a stage."""
    return re.sub(r"\W", "_", entry.name)


def command(entry: Entry, processes: int = 1) -> str:
    """What the job of a stage runs: so many processes of one program."""
    launch = ["torchrun", "--standalone", f"--nproc-per-node={processes}", "--no-python"] if processes > 1 else []
    return " ".join([*launch, "penumbra", entry.step, *([entry.item] if entry.item else [])])


def rules(entries: Sequence[Entry]) -> list[str]:
    """Names of the Snakemake rules that make these stages, in parts or not."""
    return [name for entry in entries for name in (rule(entry), f"{rule(entry)}_part")]


def declared(contract: Contract) -> dict[str, dict[str, Any]]:
    """What the stages depend on beside data, by name: Snakemake compares it with what it recorded, as text."""
    recorded = read_json(CODE) if CODE.exists() else {}
    found = {}
    for name, entry in contract.stages.items():
        values = {"params": contract.params(entry).plain(), "code": {key: dig(recorded, key) for key in entry.code}}
        found[name] = json.loads(json.dumps(values, sort_keys=True))
    return found


def profile() -> Path:
    """The folder of this machine's profile (`PENUMBRA_PROFILE`: a folder, or a name in profiles/)."""
    site = os.environ.get("PENUMBRA_PROFILE", "local")
    folder = Path(site) if os.sep in site else Path("profiles") / site
    if not (folder / "config.yaml").exists():
        raise PenumbraError(f"PENUMBRA_PROFILE: there is no {folder}/config.yaml. Name a folder of profiles/, or a path to one.")
    return folder


def _settings() -> dict[str, Any]:
    """What the profile of this machine says."""
    with (profile() / "config.yaml").open(encoding="utf-8") as file:
        return YAML(typ="safe").load(file) or {}


def snakemake(*arguments: str) -> list[str]:
    """Command line of Snakemake with the profiles of this machine.

    It says nothing where the jobs write to the same terminal, and elsewhere what it submits and why a job failed.

    Raises:
        PenumbraError: there is no such profile, or it needs a plugin that is not installed.
    """
    executor = _settings().get("executor", "local")
    if executor != "local" and not find_spec(f"snakemake_executor_plugin_{executor.replace('-', '_')}"):
        raise PenumbraError(f"{profile()}: snakemake-executor-plugin-{executor} is not installed. `pip install` it beside penumbra.")
    quiet = ["all"] if executor == "local" else ["progress", "host", "reason"]
    profiles = ["--profile", str(profile()), "--workflow-profile", str(WORKFLOW_PROFILE)]
    return [sys.executable, "-m", "snakemake", *profiles, "--nolock", "--quiet", *quiet, *arguments]


def shards(stage: str) -> list[str]:
    """Options that have a stage which runs alone use every core, in parts: where it works for long, and the profile does not say.

    A profile without `cores` is of a cluster, and says.
    """
    settings = _settings()
    given = settings.get("config", [])
    cores = _cores(settings)
    known = cost.measured(stage) or cost.recorded().get(stage)
    if cores == 1 or any(each.startswith("shards=") for each in given) or known and known[0] < PARTS_PAY:
        return []
    return ["--config", *given, f"shards={cores}"]


def splits(entry: Entry) -> bool:
    """Whether the rules split a stage into parts: blocks of candidates, or training seeds."""
    if entry.step == "grid":
        return entry.kind == "scores"
    return entry.step in ("synthesize", "train", "infer", "rerun", "score") and entry.kind not in ("none", "control")


def at_once() -> int:
    """How many stages this machine runs at a time, by its profile; 0 where a cluster does that, or each is done in parts."""
    settings = _settings()
    if "cores" not in settings or any(each.startswith("shards=") for each in settings.get("config", [])):
        return 0
    resources = settings.get("resources") or {}
    given = dict(each.split("=", 1) for each in resources) if isinstance(resources, list) else resources
    return min(_cores(settings), int(given.get("gpu", _cores(settings))))


def _cores(settings: dict[str, Any]) -> int:
    return (os.cpu_count() or 1) if settings.get("cores") == "all" else settings.get("cores", 1)


def run(contract: Contract, names: Sequence[str], meanwhile: Callable[[], object] = lambda: None, beside: Sequence[str] = ()) -> None:
    """Run the stages, and only theirs of all jobs, whatever Snakemake thinks of the rest; in parallel.

    The stage `code` runs in this process: the rules of all others are made of what it writes.

    Args:
        names: of stages.
        meanwhile: called every RECORD_SECONDS.
        beside: others that run with them, and may fail.

    Raises:
        PenumbraError: a job failed, and the message has the end of its log; or what a stage depends on changed since it ran.
    """
    entries = [contract.entry(name) for name in names]
    if any(entry.step == "code" for entry in entries):
        write_code(contract, code.entries(contract))
    if not (entries := [entry for entry in entries if entry.step != "code"]):
        return
    others = [contract.entry(name) for name in beside]
    every = [*entries, *others]
    options = shards(entries[0].name) if len(every) == 1 else []
    for entry in every:  # what is there afterwards is of this run
        receipt.discard(entry.name)
        for file in (*_logs([entry]), *cost.measurements(entry.name)):
            file.unlink()
        shutil.rmtree(PARTS / entry.label, ignore_errors=True)  # a marker of a killed run must not pass for a finished part
    forced = ["--force", "--forcerun", *map(rule, every), "--allowed-rules", *rules(every)]
    first = ["--prioritize", *(entry.outputs[0] for entry in entries)] if others else []
    arguments = [*options, *forced, *first, "--", *(entry.outputs[0] for entry in every)]
    status = _called(snakemake(*arguments), meanwhile)
    if status and not (others and all(receipt.path(entry.name).exists() for entry in entries)):
        raise PenumbraError(_failure(entries) or _refusal(arguments, status))
    if faults := [found for entry in entries if (found := receipt.fault(entry))]:
        raise PenumbraError("\n".join(faults))


def write_code(contract: Contract, content: dict[str, Any]) -> None:
    """Do what the stage `code` does: write code.json, and clear away what is of no stage."""
    code.write(content)
    clear(contract)


def clear(contract: Contract) -> None:
    """Take away what lies in the folders of data/ and is of no stage."""
    if gone := leftovers.clear(contract):
        print(f"taken away, being of no stage (DVC's cache has it): {', '.join(gone)}", flush=True)


def _called(command: Sequence[str], meanwhile: Callable[[], object]) -> int:
    """The exit status of a command of Snakemake, which is ended with its jobs if this process is.

    Only SIGINT has Snakemake cancel what it has submitted, so it heeds that also where this process does not, as in the background of
    a script.
    """
    process = subprocess.Popen(command, close_fds=False, preexec_fn=_heed_interrupts)  # it holds the lock of `penumbra repro`, too
    try:
        while process.returncode is None:
            try:
                process.wait(RECORD_SECONDS)
            except subprocess.TimeoutExpired:
                meanwhile()
    except KeyboardInterrupt:
        raise  # Snakemake and its jobs have had it too
    except BaseException:
        _end(process)
        raise
    finally:
        process.wait()  # Snakemake takes away what is half done
    return process.returncode


def _heed_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _end(process: subprocess.Popen) -> None:
    """Have Snakemake start nothing more, and its jobs end now: it waits for them."""
    import psutil

    with suppress(psutil.NoSuchProcess):
        jobs = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        for job in jobs:
            with suppress(psutil.NoSuchProcess):
                job.terminate()


def _logs(entries: Sequence[Entry]) -> list[Path]:
    """The logs of the jobs of some stages."""
    return [
        log
        for entry in entries
        for log in Path("logs").glob(f"{entry.label}*.log")
        if re.fullmatch(r"(\.\d+)?\.log", log.name.removeprefix(Path(entry.label).name))
    ]


def _receipt(entry: Entry, log: Path) -> Path:
    """The receipt of the job that wrote a log: x.0.log is of part 0."""
    part = log.suffixes[-2].removeprefix(".") if len(log.suffixes) > 1 else None
    return receipt.path(entry.name, int(part) if part else None)


def _failure(entries: Sequence[Entry]) -> str:
    """The stages that failed, and the end of the log of each of their jobs that left no receipt; empty if no job did."""
    failed = {entry.name: [log for log in sorted(_logs([entry])) if not _receipt(entry, log).exists()] for entry in entries}
    names = [name for name, logs in failed.items() if logs]
    logs = [log for name in names for log in failed[name]]
    lines = [f"The end of {log}:\n{_tail(log)}" if log.stat().st_size else f"{log} is empty." for log in logs]
    return "\n".join([f"{', '.join(names)}: failed.", *lines]) if names else ""


def _refusal(arguments: Sequence[str], status: int) -> str:
    """What Snakemake says of a call that it refuses, for quiet as it is told to be it says nothing; else how it ended."""
    command = snakemake("--dry-run", *arguments)
    del command[command.index("--quiet") : command.index("--dry-run")]
    said = subprocess.run(command, capture_output=True, text=True)
    if not said.returncode:
        how = f"by signal {-status}" if status < 0 else f"with status {status}"
        return f"Snakemake ended {how}, and no job had failed. What is finished is kept: run again."
    return "\n".join(["Snakemake refused to run:", *(said.stderr or said.stdout).strip().splitlines()[-TAIL:]])


def _tail(log: Path) -> str:
    with log.open(errors="replace") as lines:
        return "".join(deque(lines, TAIL)).rstrip()
