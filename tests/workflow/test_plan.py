"""The plan as a person reads it."""

from penumbra.workflow.plan import Planned, table


def test_a_table_has_stage_seconds_and_the_first_reasons_within_100_columns(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    costs = tmp_path / "reports/plots/cost.csv"
    costs.parent.mkdir(parents=True)
    costs.write_text("stage,seconds,memory_mib\nscore@none,12.4,600\n")
    reasons = ("params.yaml:score.knn_k 50 -> 40", *(f"code src/penumbra/artifacts/module_{index}.py modified" for index in range(4)))
    lines = table([Planned("score@none", reasons), Planned("benchmark", ())]).splitlines()
    assert lines[0] == "Will run (12 s recorded):"
    assert lines[1].split() == ["score@none", "12", "s", "params.yaml:score.knn_k", "50", "->", "40"]
    assert [line.strip() for line in lines[2:5]] == [*reasons[1:3], "and 2 more"]
    assert lines[5:] == ["May run, if bytes of what it reads change (0 s recorded, 1 unknown):", "  benchmark    unknown"]
    assert max(map(len, lines)) <= 100


def test_an_empty_plan_says_so():
    assert table([]).startswith("Nothing to run")
