"""Exactly downstream: what reruns in a miniature of the real DAG after a change, by DVC's decisions."""

import hashlib

import pytest

from miniature import followers
from penumbra.workflow import contract


def test_nothing_is_planned_and_nothing_runs_when_nothing_changed(miniature, planned, monkeypatch):
    text = (miniature.root / "params.yaml").read_text()
    (miniature.root / "params.yaml").write_text(f"# a comment\n{text}")
    assert planned(miniature) == (set(), set())
    miniature.reproduce(monkeypatch)
    assert not miniature.counters()


def test_edited_code_reruns_exactly_the_stages_that_import_it(miniature, planned, monkeypatch):
    path = "src/penumbra/score/step.py"
    with open(miniature.root / path, "a") as file:
        file.write("EDITED = True\n")
    will, may = planned(miniature)
    monkeypatch.chdir(miniature.root)
    holders = {name for name, entry in ((entry.name, entry) for entry in contract.load().standing()) if path in entry.code}
    contract.load.cache_clear()
    assert will == holders and may == {"benchmark", "report"}
    miniature.reproduce(monkeypatch)
    assert set(miniature.counters()) == holders  # the bytes are equal, so nothing follows


def test_a_library_upgrade_reruns_what_imports_it(miniature, planned):
    path = miniature.root / "environment.yaml"
    path.write_text(path.read_text().replace("jinja2: ", "jinja2: 9."))
    assert planned(miniature) == ({"report"}, set())


def test_changed_bytes_of_one_data_file_rerun_exactly_its_readers_and_what_follows(miniature, monkeypatch):
    path = "src/penumbra/prepare/digits.py"
    with open(miniature.root / path, "a") as file:
        file.write("EDITED = True\n")
    monkeypatch.setenv("MINIATURE_OTHER_BYTES", "images/ood")
    miniature.reproduce(monkeypatch)
    monkeypatch.chdir(miniature.root)
    readers = {
        name for name, entry in ((entry.name, entry) for entry in contract.load().standing()) if "data/images/ood.parquet" in entry.data
    }
    assert {"score@none", "report"} <= readers
    assert set(miniature.counters()) == {"prepare"} | followers(readers)
    contract.load.cache_clear()


@pytest.mark.parametrize("in_cache", [True, False])
def test_a_damaged_output_is_made_again_and_nothing_else_runs(miniature, planned, monkeypatch, in_cache):
    before = miniature.outputs()
    damaged = miniature.root / "data/outliers/badood-gaussian.parquet"
    md5 = hashlib.md5(damaged.read_bytes()).hexdigest()
    damaged.write_bytes(damaged.read_bytes() + b" ")
    if not in_cache:
        (miniature.root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]).unlink()
    assert planned(miniature)[0] == {"synthesize@badood-gaussian"}
    miniature.reproduce(monkeypatch)
    assert set(miniature.counters()) == (set() if in_cache else {"synthesize@badood-gaussian"})
    assert miniature.outputs() == before


def test_a_reverted_change_is_restored_from_the_run_cache(miniature, monkeypatch):
    before = miniature.outputs()
    miniature.change_param("benchmark.score", "msp")
    miniature.reproduce(monkeypatch)
    assert set(miniature.counters()) == {"benchmark", "report"}
    miniature.reset()
    miniature.run("git", "checkout", "-q", "params.yaml")
    miniature.reproduce(monkeypatch)
    assert not miniature.counters() and miniature.outputs() == before


def test_an_edited_docstring_is_recorded_and_edited_code_is_refused(miniature):
    path = miniature.root / "src/penumbra/score/__init__.py"
    path.write_text('"""Said better."""\n')
    miniature.penumbra("record")
    assert "up to date" in miniature.dvc("status", "dvc.yaml").stdout and not miniature.counters()
    path.write_text("x = 1\n")
    refused = miniature.penumbra("record", check=False)
    assert refused.returncode and "src/penumbra/score/__init__.py" in refused.stderr
