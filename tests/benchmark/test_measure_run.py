"""What benchmarks/measure_run.py counts."""

import json
import runpy
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
SCRIPT = runpy.run_path(str(ROOT / "benchmarks/measure_run.py"))


def receipt(folder, job, seconds, end):
    path = folder / f".penumbra/receipts/{job}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"seconds": seconds, "ended": end}))


@pytest.mark.parametrize(
    ("command", "stage"),
    [
        (["/clone/.venv/bin/python3", "/clone/.venv/bin/penumbra", "train", "badood-mid", "--part", "0/2"], "train badood-mid"),
        (["python", "penumbra", "prepare"], "prepare"),
        (["python", "penumbra", "run", "train@badood-mid"], None),
        (["/bin/sh", "-c", "penumbra prepare"], None),
        (["python", "penumbra"], None),
        ([], None),
    ],
)
def test_the_stage_of_a_process(command, stage):
    assert SCRIPT["stage_of"](command) == stage


def test_work_of_parallel_parts_counts_once(tmp_path):
    receipt(tmp_path, "score@none.0", 10.0, 1010)
    receipt(tmp_path, "score@none.1", 8.0, 1012)
    receipt(tmp_path, "score@none", 1.5, 1020)
    receipt(tmp_path, "score@none-other", 500, 1020)
    assert SCRIPT["worked_seconds"](tmp_path, "score@none") == pytest.approx(13.5)


def test_a_step_without_items_has_one_receipt(tmp_path):
    receipt(tmp_path, "prepare", 2.25, 1000)
    assert SCRIPT["worked_seconds"](tmp_path, "prepare") == pytest.approx(2.25)


def test_cost_of_a_stage_runs_from_its_first_job_to_its_last(tmp_path):
    receipt(tmp_path, "prepare", 3.0, 105)
    receipt(tmp_path, "pretrain-rdm@rcg", 1.0, 110)
    (tmp_path / "dvc.lock").write_text("stages:\n  prepare: {}\n  pretrain-rdm@rcg: {}\n")
    watch = SCRIPT["Watch"](
        began={"pretrain rdm": 106, "prepare": 100},
        ended={"pretrain rdm": 110, "prepare": 105},
        peaks={"prepare": 2**30, "pretrain rdm": 2**29},
    )
    first, second = SCRIPT["cost_rows"](tmp_path, watch)
    assert first == {"stage": "prepare", "seconds": 5, "step_seconds": 3.0, "overhead_seconds": 2.0, "peak_gib": 1.0}
    assert (second["stage"], second["seconds"], second["overhead_seconds"]) == ("pretrain-rdm@rcg", 4, 3.0)


def test_moving_the_filter_bounds_changes_nothing_else(tmp_path):
    before = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    SCRIPT["move_filter_bounds"](tmp_path)
    after = YAML(typ="safe").load((tmp_path / "params.yaml").read_text())
    assert {key for key in before if before[key] != after[key]} == {"filter"}
    assert {name for name in before["filter"] if before["filter"][name] != after["filter"][name]} == {"badood"}
    assert after["filter"]["badood"]["mid"][0] < before["filter"]["badood"]["mid"][0]
