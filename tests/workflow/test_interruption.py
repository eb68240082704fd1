"""A stage that is killed goes on where it was, and one that fails says why."""

import shutil
import time
from collections import Counter

from ruamel.yaml import YAML

from miniature import SMALL, Miniature, kill
from miniature_commands import BLOCKS

STAGE = "synthesize-sona@sona"


def test_after_a_kill_dvc_repro_ends_with_the_same_bytes_and_does_no_finished_unit_again(miniature, monkeypatch, tmp_path):
    undisturbed = miniature.copy(tmp_path / "undisturbed")
    for each in (miniature, undisturbed):
        each.change_param("synthesize.sona.sona.steps", 21)
    undisturbed.reproduce(monkeypatch, [STAGE])

    process = miniature.start("dvc", "repro", STAGE, MINIATURE_UNIT_SECONDS="1")
    deadline = time.monotonic() + 60
    while miniature.counters("blocks").total() < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    kill(process)
    finished = miniature.counters("blocks")
    assert finished.total() in range(2, len(BLOCKS)) and not miniature.counters()

    miniature.dvc("repro", STAGE)
    assert miniature.counters() == {STAGE: 1}
    assert miniature.counters("blocks") == Counter(f"{STAGE}/{block}" for block in BLOCKS)
    assert miniature.outputs() == undisturbed.outputs()


def test_a_killed_first_run_keeps_the_record_of_finished_stages(tmp_path, monkeypatch):
    undisturbed, fresh = (Miniature.create(tmp_path / name, *SMALL) for name in ("undisturbed", "fresh"))
    undisturbed.reproduce(monkeypatch)
    process = fresh.start("penumbra", "repro", MINIATURE_RECORD_SECONDS="0.5")
    deadline, lock = time.monotonic() + 90, fresh.root / "dvc.lock"
    while not (lock.exists() and "synthesize" in lock.read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)
    kill(process)
    recorded = YAML(typ="safe").load(lock)["stages"].keys() - {"code"}
    before = fresh.counters()
    assert recorded <= before.keys() and "report" not in before

    fresh.penumbra("repro")
    assert {stage: fresh.counters()[stage] for stage in recorded} == dict.fromkeys(recorded, 1)
    assert fresh.outputs() == undisturbed.outputs()
    assert "Nothing to run" in fresh.penumbra("repro", "--dry").stdout


def test_a_failed_job_fails_its_stage_and_the_end_of_its_log_is_shown(miniature):
    shutil.copytree(miniature.root / "profiles/local", profile := miniature.root / "profiles/parts")
    with open(profile / "config.yaml", "a") as file:
        file.write("config: [shards=2]\n")
    miniature.change_param("synthesize.sona.sona.steps", 21)
    failed = miniature.dvc("repro", STAGE, check=False, MINIATURE_FAILS="block-1", PENUMBRA_PROFILE="parts")
    assert failed.returncode
    message = failed.stderr.partition("penumbra: ")[2]
    assert f"failed to reproduce '{STAGE}'" in message  # DVC's own line ends it
    assert f"{STAGE}: failed." in message
    assert "logs/synthesize/sona.1.log" in message and "RuntimeError: block-1 of synthesize@sona fails" in message
    assert "sona.0.log" not in message  # the other part has done its blocks
    assert {"block-0", "block-2"} <= {block.rpartition("/")[2] for block in miniature.counters("blocks")}
