"""The two engines on a miniature of the real DAG."""

import pytest

from penumbra.workflow import contract, plan


@pytest.fixture
def planned(monkeypatch):
    """What is planned in a miniature: (stages that will run, stages that may run)."""
    from dvc.repo import Repo

    def ask(miniature):
        monkeypatch.chdir(miniature.root)
        contract.load.cache_clear()
        with Repo(str(miniature.root)) as repo:
            found = plan.plan(repo)
        contract.load.cache_clear()
        return {each.name for each in found if each.reasons}, {each.name for each in found if not each.reasons}

    return ask


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
    holders = {name for name, entry in contract.load().stages.items() if path in entry.code}
    contract.load.cache_clear()
    assert will == holders and may == {"benchmark", "report"}
    miniature.reproduce(monkeypatch)
    assert set(miniature.counters()) == holders  # the bytes are equal, so nothing follows


def test_a_library_upgrade_reruns_what_imports_it(miniature, planned):
    path = miniature.root / "environment.yaml"
    path.write_text(path.read_text().replace("jinja2: ", "jinja2: 9."))
    assert planned(miniature) == ({"report"}, set())


def test_a_reverted_change_is_restored_from_the_run_cache(miniature, monkeypatch):
    before = miniature.outputs()
    miniature.change_param("benchmark.score", "msp")
    miniature.reproduce(monkeypatch)
    assert set(miniature.counters()) == {"benchmark", "report"}
    miniature.reset()
    miniature.run("git", "checkout", "-q", "params.yaml")
    miniature.reproduce(monkeypatch)
    assert not miniature.counters() and miniature.outputs() == before


def test_a_clone_runs_what_is_planned_and_the_engines_agree_afterwards(miniature, planned, tmp_path):
    clone = miniature.clone(tmp_path / "clone")
    assert planned(clone) == (set(), set())
    clone.change_param("filter.badood-gaussian.mid", [0.2, 0.5])
    will, may = planned(clone)
    clone.penumbra("repro")
    assert set(clone.counters()) == will | may
    assert "up to date" in clone.dvc("status").stdout
    dry = clone.snakemake("-n", "--quiet", "host")
    assert "Nothing to be done" in dry.stdout + dry.stderr


def test_an_edited_docstring_is_recorded_and_edited_code_is_refused(miniature):
    path = miniature.root / "src/penumbra/score/__init__.py"
    path.write_text('"""Said better."""\n')
    miniature.penumbra("record")
    assert "up to date" in miniature.dvc("status").stdout and not miniature.counters()
    path.write_text("x = 1\n")
    refused = miniature.penumbra("record", check=False)
    assert refused.returncode and "src/penumbra/score/__init__.py" in refused.stderr
