"""Recording with DVC and having results back from its cache, in a DVC repository of two stages of the shell."""

import dvc.output
import pytest
from ruamel.yaml import YAML

from penumbra.workflow import commit, plan
from penumbra.workflow.reasons import reasons
from penumbra.workflow.repository import opened


def stage_of(repo, name):
    return next(stage for stage in repo.index.stages if stage.name == name)


def test_an_output_that_is_not_what_the_cache_has_is_overwritten(toy):
    good = (toy / "two").read_text()
    (toy / "two").write_text("of another run")
    with opened() as repo:
        assert commit.restored(stage_of(repo, "second"))
    assert (toy / "two").read_text() == good


def test_an_output_is_kept_where_the_cache_lacks_what_would_replace_it(toy):
    (toy / "two").write_text("of another run")
    (toy / "one").write_text("never read before")
    with opened() as repo:
        assert not commit.restored(stage_of(repo, "second"))
    assert (toy / "two").read_text() == "of another run"


@pytest.mark.parametrize("failing", [lambda *a, **b: None, OSError(28, "No space left on device")])
def test_what_does_not_come_into_the_cache_is_not_recorded_and_says_so(toy, monkeypatch, failing):
    def transfer(*arguments, **options):
        if isinstance(failing, OSError):
            raise failing

    (toy / "two").write_text("new")
    before = (toy / "dvc.lock").read_bytes()
    with opened() as repo:
        stage = stage_of(repo, "second")
        with monkeypatch.context() as patched:
            patched.setattr(dvc.output, "otransfer", transfer)
            faults = commit.commit([stage])
        assert "second: DVC's cache" in faults["second"] and "Free space" in faults["second"].replace("free", "Free")
        assert (toy / "two").read_text() == "new" and (toy / "dvc.lock").read_bytes() == before
        assert reasons(stage_of(repo, "second"))
        assert commit.commit([stage]) == {}
    with opened() as repo:
        assert plan.plan(repo) == []


def test_what_has_a_fault_is_not_recorded_and_the_others_are(toy):
    for name in ("one", "two"):
        (toy / name).write_text("new")
    with opened() as repo:
        stages = list(repo.index.stages)
        assert commit.commit(stages, lambda stage: "no receipt" if stage.name == "second" else None) == {"second": "no receipt"}
    with opened() as repo:
        assert [each.name for each in plan.plan(repo)] == ["second"]
        assert not commit.restored(stage_of(repo, "second"))  # the run cache knows nothing of it


def test_penumbra_repro_has_a_flipped_byte_of_an_output_back_from_the_cache(miniature):
    before = miniature.outputs()
    damaged = miniature.root / "data/outliers/sona.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"X")
    shown = miniature.penumbra("repro").stdout
    assert "restored synthesize-sona@sona" in shown and not miniature.counters()
    assert miniature.outputs() == before


def recorded(miniature):
    """What dvc.lock says of the stages that compute; `code` is recorded first, since the file of parameters is another."""
    stages = YAML(typ="safe").load(miniature.root / "dvc.lock")["stages"]
    return {name: stage for name, stage in stages.items() if name != "code"}


def test_penumbra_repro_fails_where_results_do_not_come_into_the_cache(miniature):
    miniature.change_param("report.gallery", 7)
    lock = recorded(miniature)
    failed = miniature.penumbra("repro", check=False, MINIATURE_CACHE_IS_FULL="1")
    assert failed.returncode and "report: DVC's cache" in failed.stderr.splitlines()[-1]
    assert miniature.counters() == {"report": 1} and (miniature.root / "reports/report.html").exists()
    assert recorded(miniature) == lock
