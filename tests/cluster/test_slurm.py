"""The experiment on a real Slurm: what its jobs ask for, equal bytes, and what happens when something dies."""

import os
import signal
import subprocess
import sys
from collections import Counter

import pytest
from ruamel.yaml import YAML
from slurm import until

from miniature import Miniature
from miniature_commands import BLOCKS

STAGE, RULE = "synthesize-sona@sona", "synthesize_sona_sona"
PATIENCE = 600  # seconds, for machines at work on other things: on two idle cores nothing takes two minutes


def locked(miniature):
    """What dvc.lock says of the outputs of each stage."""
    stages = YAML(typ="safe").load(miniature.root / "dvc.lock")["stages"]
    return {name: stage["outs"] for name, stage in stages.items()}


def of_rule(jobs, rule):
    """Of the jobs of Slurm, those of a rule of Snakemake, of a part by its number."""
    return [job for job in jobs if job["Comment"].removeprefix("rule_").replace("_wildcards_", ":") == rule]


def ended(process, said):
    """The exit status of a command, which writes to `said`."""
    until(lambda: process.poll() is not None, f"{process.args} to end; it said:", PATIENCE, said)
    return process.returncode


@pytest.fixture
def new_jobs(cluster):
    """Asks for the jobs of Slurm since the beginning of the test."""
    before = {job["JobId"] for job in cluster.jobs()}
    return lambda: [job for job in cluster.jobs() if job["JobId"] not in before]


@pytest.fixture(scope="session")
def prepared(tmp_path_factory) -> Miniature:
    """A miniature in which all that STAGE and the scores of the detector `none` read is made; copy it."""
    made = Miniature.create(tmp_path_factory.mktemp("prepared") / "dag", "sona")
    with pytest.MonkeyPatch.context() as patched:
        made.reproduce(patched, ["pretrain-diffusion@sd", "infer@none"])
    made.reset()
    return made


@pytest.fixture
def ready(prepared, tmp_path) -> Miniature:
    """A copy of it of one's own."""
    return prepared.copy(tmp_path / "dag")


@pytest.fixture
def started(cluster, tmp_path):
    """Starts a command whose jobs wait at each block until `gate` is there, and writes to `said`; ends it if the test does not.

    A command in the background of a script ignores SIGINT.
    """
    running = []

    def start(miniature, *command, in_background=False, **env):
        gate, said = tmp_path / "gate", tmp_path / "said"
        with said.open("w") as out:
            environment = miniature.env | env | {"MINIATURE_GATE": str(gate)}
            options = {"cwd": miniature.root, "env": environment, "stdout": out, "stderr": out, "start_new_session": True}
            interrupts = signal.SIG_IGN if in_background else signal.SIG_DFL
            process = subprocess.Popen(command, **options, preexec_fn=lambda: signal.signal(signal.SIGINT, interrupts))
        running.append(process)
        return process, gate, said

    yield start
    for process in running:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    cluster.cancel()


def test_real_steps_give_the_bytes_of_the_local_profile_and_only_they_ask_for_gpus(tmp_path, on, new_jobs):
    for name in ("local", "slurm"):
        made = Miniature.create(tmp_path / name, "miniature").with_real_steps()
        if name == "slurm":
            on(made, shards=2)
        made.penumbra("repro", STAGE)
    here, there = (locked(Miniature(tmp_path / name)) for name in ("local", "slurm"))
    assert here == there and here.keys() >= {"code", "prepare", "pretrain-diffusion@sd", STAGE}

    jobs = new_jobs()
    assert Counter(job["Comment"] for job in jobs) == Counter(
        f"rule_{rule}"
        for rule in ("pretrain_diffusion_sd", "synthesize_sona_sona", *(f"synthesize_sona_sona_part_wildcards_{part}" for part in (0, 1)))
    )
    assert {job["JobState"] for job in jobs} == {"COMPLETED"}
    assert {(job["Partition"], job["TresPerJob"], job["MinMemoryNode"], job["TimeLimit"]) for job in jobs} == {
        ("gpu", "gres:gpu:fake:1", "5000M", "1-00:00:00")
    }
    first, second = (of_rule(jobs, f"synthesize_sona_sona_part:{part}")[0] for part in (0, 1))
    assert first["StartTime"] < second["EndTime"] and second["StartTime"] < first["EndTime"]  # side by side


def test_a_killed_job_one_at_its_time_limit_and_a_lost_controller_cost_no_finished_unit(
    cluster, ready, on, started, new_jobs, tmp_path, monkeypatch
):
    undisturbed = ready.copy(tmp_path / "undisturbed")
    undisturbed.reproduce(monkeypatch, [STAGE])
    monkeypatch.chdir(tmp_path)
    on(ready, shards=2)
    process, gate, said = started(ready, "penumbra", "repro", STAGE, MINIATURE_UNIT_SECONDS="3")
    gate.touch()
    until(lambda: ready.counters("blocks").total() >= 2, "a block of each part", PATIENCE)
    gate.unlink()
    finished = ready.counters("blocks")
    part = {index: of_rule(new_jobs(), f"{RULE}_part:{index}")[0]["JobId"] for index in (0, 1)}

    cluster.ask("scontrol", "update", f"JobId={part[1]}", "TimeLimit=1")
    cluster.stop("slurmctld")
    until(lambda: "Asking again" in said.read_text(), "Snakemake to have no answer", PATIENCE)
    cluster.start_controller()
    until(lambda: len(cluster.states()) == 2, "the controller to know its jobs again", PATIENCE)
    cluster.ask("scancel", "--signal=KILL", part[0])
    until(lambda: len(of_rule(new_jobs(), f"{RULE}_part:0")) == 2, "the killed part to be submitted again", PATIENCE)
    until(lambda: of_rule(new_jobs(), f"{RULE}_part:1")[0]["JobState"] == "TIMEOUT", "the time limit", PATIENCE)
    gate.touch()
    assert ended(process, said) == 0, said.read_text()

    states = {name: [job["JobState"] for job in of_rule(new_jobs(), name)] for name in (f"{RULE}_part:0", f"{RULE}_part:1", RULE)}
    assert states == {f"{RULE}_part:0": ["CANCELLED", "COMPLETED"], f"{RULE}_part:1": ["TIMEOUT", "COMPLETED"], RULE: ["COMPLETED"]}
    assert f"'{part[1]}' failed, SLURM status is: 'TIMEOUT'" in said.read_text()  # as the user is told
    assert [job["MinMemoryNode"] for job in of_rule(new_jobs(), f"{RULE}_part:0")] == ["5000M", "10000M"]
    assert ready.counters("blocks") == Counter(f"{STAGE}/{block}" for block in BLOCKS) and finished.total() in range(2, len(BLOCKS))
    assert locked(ready)[STAGE] == locked(undisturbed)[STAGE] and ready.outputs() == undisturbed.outputs()


def test_a_job_whose_node_dies_goes_back_into_the_queue_and_dvc_repro_waits_for_it(cluster, ready, on, started, new_jobs):
    on(ready)
    process, gate, said = started(ready, "dvc", "repro", "--single-item", STAGE, MINIATURE_UNIT_SECONDS="3")
    gate.touch()
    until(lambda: ready.counters("blocks"), "a block", PATIENCE)
    gate.unlink()
    cluster.kill_node()
    until(lambda: {job["JobState"] for job in new_jobs()} == {"PENDING"}, "the job to be queued again", PATIENCE)
    gate.touch()
    cluster.start_node()
    assert ended(process, said) == 0, said.read_text()
    assert [(job["Comment"], job["JobState"], job["Restarts"]) for job in new_jobs()] == [(f"rule_{RULE}", "COMPLETED", "1")]
    assert ready.counters("blocks") == Counter(f"{STAGE}/{block}" for block in BLOCKS) and ready.counters() == {STAGE: 1}
    assert locked(ready)[STAGE]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_end_of_penumbra_repro_is_the_end_of_its_jobs(cluster, ready, on, started, new_jobs, number):
    on(ready)
    process, _, said = started(ready, "penumbra", "repro", STAGE, in_background=number == signal.SIGTERM)
    until(lambda: "RUNNING" in cluster.states().values(), "a job to run", PATIENCE)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does
    else:
        process.send_signal(number)
    assert ended(process, said), said.read_text()
    until(lambda: not cluster.states(), "the job to be cancelled", PATIENCE)
    assert [job["JobState"] for job in new_jobs()] == ["CANCELLED"] and not ready.counters()


def test_snakemake_alone_obeys_the_profile_and_needs_no_gpu_partition_for_scores(ready, on, new_jobs):
    profile = on(ready)
    ready.run(
        sys.executable, "-m", "snakemake", "--profile", str(profile), "--allowed-rules", "score_none", "--", "data/scores/none.parquet"
    )
    assert [(job["Partition"], job.get("TresPerJob"), job["JobState"]) for job in new_jobs()] == [("cpu", None, "COMPLETED")]
    assert ready.counters() == {"score@none": 1}


def test_a_job_that_the_cluster_refuses_is_said_in_the_words_of_the_cluster(ready, on, new_jobs):
    profile = on(ready, retries=0)
    (profile / "partitions.yaml").write_text("partitions: {nowhere: {max_gpu: 1}}\n")
    refused = ready.penumbra("repro", STAGE, check=False)
    assert refused.returncode == 1 and not new_jobs()
    assert "invalid partition specified: nowhere" in refused.stderr, refused.stderr
    assert refused.stderr.rstrip().endswith(f"penumbra: {STAGE}: failed.\nlogs/synthesize/sona.log is empty.")
