"""Each job with a GPU has one to itself, for as long as its process lives. The devices are names: nothing here needs a GPU."""

import os
import subprocess
import sys
import time
import uuid
from collections import Counter
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from penumbra.workflow import devices

JOB = """
import os, sys, time
from penumbra.workflow import devices

devices.own(sys.argv[1])
with open(sys.argv[2], "a") as log:
    log.write(f"begins {os.environ['CUDA_VISIBLE_DEVICES']} {os.getpid()}\\n")
time.sleep(float(sys.argv[3]))
with open(sys.argv[2], "a") as log:
    log.write(f"ends {os.environ['CUDA_VISIBLE_DEVICES']} {os.getpid()}\\n")
"""
CHANGED = "train.detectors.sona-all.recipe", "energy"


@pytest.fixture
def two(monkeypatch):
    """The user has two devices, which no other test uses."""
    names = [f"GPU-{uuid.uuid4()}" for _ in range(2)]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", ", ".join(names))
    yield names
    for name in names:
        (devices.LOCKS / name).unlink(missing_ok=True)


@pytest.fixture
def jobs(two, tmp_path):
    """Starts the process of a job, which writes when it begins and ends; and these lines."""
    log, running = tmp_path / "log", []
    log.touch()

    def start(stage, seconds):
        env = os.environ | {devices.JOBS: "train score-control"}
        command = [sys.executable, "-c", JOB, stage, str(log), str(seconds)]
        running.append(subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True))
        return running[-1]

    yield start, lambda: [line.split(" ") for line in log.read_text().splitlines()]
    for process in running:
        process.kill()
        process.communicate()


def until(condition):
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_more_jobs_than_devices_never_share_one_and_a_killed_one_gives_its_own_back(two, jobs):
    start, log = jobs
    long = [start("train@a", 600), start("score-control@b", 600)]
    until(lambda: len(log()) == 2)
    assert {device for _, device, _ in log()} == set(two)
    short = [start("train@c", 0.05) for _ in range(4)]
    assert short[0].stderr.readline() == f"waiting for a GPU: other jobs have {', '.join(two)}\n"
    assert len(log()) == 2

    freed = next(device for _, device, number in log() if int(number) == long[0].pid)
    long[0].kill()
    for process in short:
        assert process.wait(120) == 0
    lines = log()[2:]
    assert [event for event, *_ in lines] == ["begins", "ends"] * 4  # one after the other
    assert {device for _, device, _ in lines} == {freed}
    assert all(first[2] == second[2] for first, second in zip(lines[::2], lines[1::2], strict=True))
    assert long[1].poll() is None


def test_a_job_without_a_gpu_sees_none_and_waits_for_none(two, jobs):
    start, log = jobs
    for stage in ("train@a", "train@b"):
        start(stage, 600)
    until(lambda: len(log()) == 2)
    assert start("score@a", 0).wait(120) == 0
    assert [device for _, device, _ in log()[2:]] == ["", ""]


@pytest.mark.parametrize(
    ("given", "nodes", "found"),
    [
        (None, [], []),
        (None, ["nvidia0", "nvidia1", "nvidia10", "nvidiactl", "nvidia-uvm"], ["0", "1", "2"]),
        ("", ["nvidia0"], []),
        ("3,1", ["nvidia0"], ["3", "1"]),
        ("2,-1,0", ["nvidia0"], ["2"]),
        ("MIG-GPU-5/1/0, 2,2", [], ["MIG-GPU-5/1/0", "2"]),
    ],
)
def test_the_devices_are_those_of_the_user_else_those_of_the_machine(tmp_path, monkeypatch, given, nodes, found):
    for name in nodes:
        (tmp_path / name).touch()
    monkeypatch.setattr(devices, "NODES", tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if given is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    assert devices.visible() == found


def test_nothing_changes_without_such_a_profile_and_without_a_gpu(tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "NODES", tmp_path)
    monkeypatch.setattr(devices, "LOCKS", tmp_path / "locks")
    monkeypatch.delenv(devices.VISIBLE, raising=False)
    monkeypatch.delenv(devices.JOBS, raising=False)
    devices.own("train@a")
    monkeypatch.setenv(devices.JOBS, "train")
    devices.own("train@a")
    assert devices.VISIBLE not in os.environ and not (tmp_path / "locks").exists()


def seen(miniature):
    """What the steps of a miniature saw in CUDA_VISIBLE_DEVICES, in the order in which they began: (stage, devices)."""
    log = Path(f"{miniature.log}.devices")
    return [tuple(line.split("=")) for line in log.read_text().splitlines()]


def test_with_the_profile_jobs_that_run_at_a_time_have_devices_of_their_own_and_light_ones_none(two, miniature, tmp_path):
    profile = miniature.root / "profiles/gpus/config.yaml"
    settings = YAML(typ="safe").load(profile)
    assert settings["config"] == ["own_gpu=true", "shards=4"]  # of train and infer one part for each of three seeds
    YAML().dump(settings | {"cores": 8, "resources": {"gpu": 3}}, profile)  # more jobs at a time than devices
    miniature.change_param(*CHANGED)
    gate = tmp_path / "gate"
    process = miniature.start("penumbra", "repro", "score@sona-all", PENUMBRA_PROFILE="gpus", MINIATURE_GATE=str(gate))
    until(lambda: process.poll() is not None or miniature.counters("waiting").total() == 2)
    assert sorted(device for _, device in seen(miniature)) == sorted(two)
    time.sleep(2)  # a third job, which waits
    assert miniature.counters("waiting").total() == 2
    gate.touch()
    assert process.wait(300) == 0

    found = {stage: {device for name, device in seen(miniature) if name == stage} for stage, _ in seen(miniature)}
    assert found["score@sona-all"] == {""}
    assert found["train@sona-all"] | found["infer@sona-all"] <= set(two)
    assert miniature.counters() == {"train@sona-all": 1, "infer@sona-all": 1, "score@sona-all": 1}


def test_with_the_default_profile_jobs_see_what_the_user_sees(two, miniature):
    miniature.penumbra("run", "pretrain-diffusion@sd")
    assert Counter(device for _, device in seen(miniature)).keys() == {", ".join(two)}
