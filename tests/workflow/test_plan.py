"""The plan as a person reads it."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from penumbra.workflow import plan
from penumbra.workflow.plan import Planned, table
from penumbra.workflow.reasons import CODED, DATA, NEW, OUTPUT, PARAMETER, Reason
from penumbra.workflow.repository import opened
from penumbra.workflow.repro import certain


def test_a_table_has_stage_seconds_and_the_first_reasons_within_100_columns(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    costs = tmp_path / ".penumbra/cost.csv"
    costs.parent.mkdir(parents=True)
    costs.write_text("stage,seconds,memory_mib\nscore@none,12.4,600\n")
    texts = ["params.yaml:score.rate 0.5 -> 0.4", *(f"data data/x{index} modified" for index in range(4))]
    reasons = tuple(Reason(DATA, text) for text in texts)
    lines = table([Planned("score@none", reasons), Planned("benchmark", ())]).splitlines()
    assert lines[0] == "Will run (12 s recorded):"
    assert lines[1].split() == ["score@none", "12", "s", "params.yaml:score.rate", "0.5", "->", "0.4"]
    assert [line.strip() for line in lines[2:5]] == [*texts[1:3], "and 2 more"]
    assert lines[5:] == ["May run, if bytes of what it reads change (0 s recorded, 1 unknown):", "  benchmark      unknown"]
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize(
    ("kinds", "cached", "expected"),
    [
        ([NEW], False, True),
        ([CODED], True, True),
        ([CODED, DATA], True, True),
        ([OUTPUT, DATA], False, True),
        ([OUTPUT, DATA], True, False),  # may come back from the cache
        ([PARAMETER], True, False),  # may have run before with this value
        ([], False, False),  # may find the bytes as they were
    ],
)
def test_a_stage_runs_in_any_case_where_nothing_can_bring_its_result_back(kinds, cached, expected):
    before = {"a": set(), "b": {"a"}, "c": {"b"}, "d": set(), "e": {"d"}}
    of = {"b": kinds, "c": [NEW], "e": [NEW]}
    left = {name: Planned(name, tuple(Reason(kind, "changed") for kind in kinds)) for name, kinds in of.items()}
    stages = dict.fromkeys(before, SimpleNamespace(outs_cached=lambda: cached))
    # c follows b, whatever its own reasons; e follows nothing that is due, and may be restored when its wave comes
    assert certain(stages, left, before, ["a"]) == (["a", "b", "c"] if expected else ["a"])


def test_an_empty_plan_says_so():
    assert table([]).startswith("Nothing to run")


def test_a_stage_that_the_cache_would_bring_back_is_told_and_what_follows_it_too(toy):
    def planned():
        with opened() as repo:
            return {each.name: each.cached for each in plan.with_cached(repo, plan.plan(repo))}

    text = (toy / "params.yaml").read_text()
    (toy / "params.yaml").write_text(text.replace("more: 1", "more: 2"))
    assert planned() == {"first": False, "second": False}
    with opened() as repo:
        repo.reproduce()
    (toy / "params.yaml").write_text(text)
    with opened() as repo:
        marked = plan.with_cached(repo, plan.plan(repo))
        assert all(each.cached for each in marked) and len(marked) == 2
        assert plan.plan(repo) == [replace(each, cached=False) for each in marked]  # looking changes nothing
    assert "0 s recorded, 1 from cache" in plan.table(marked)


def test_a_clone_with_the_cache_alone_knows_what_is_new_in_it(toy):
    (toy / "dvc.yaml").write_text((toy / "dvc.yaml").read_text().replace("echo 2", "echo 3"))
    (toy / "one").unlink()
    with opened() as repo:
        assert {each.name: each.cached for each in plan.with_cached(repo, plan.plan(repo))} == {"first": True, "second": False}


@pytest.mark.parametrize(
    ("old", "new", "comparable"),
    [
        ("more: 1", "more: 2", False),  # steps, seeds, images: who knows
        ("rate: 0.5", "rate: 1.0e-05", True),
        ("text: a", "text: b", False),
    ],
)
def test_seconds_recorded_with_other_counts_say_nothing(toy, old, new, comparable):
    (toy / "params.yaml").write_text((toy / "params.yaml").read_text().replace(old, new))
    (toy / ".penumbra").mkdir(exist_ok=True)
    (toy / ".penumbra/cost.csv").write_text("stage,seconds,memory_mib\nfirst,12,1\nsecond,2,1\n")
    with opened() as repo:
        found = plan.plan(repo)
    assert plan.seconds(found) == {"first": 12 if comparable else None, "second": 2}


def test_with_other_data_no_seconds_are_comparable(toy):
    for name in ("dvc.yaml", "dvc.lock"):
        (toy / name).write_text((toy / name).read_text().replace("  first:\n", "  prepare:\n").replace("  first: ", "  prepare: "))
    (toy / "params.yaml").write_text((toy / "params.yaml").read_text().replace("more: 1", "more: 2"))
    with opened() as repo:
        assert [(each.name, each.comparable) for each in plan.plan(repo)] == [("prepare", False), ("second", False)]
