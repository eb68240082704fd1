"""A line of params.yaml is a stage: detectors and variants that come, go and come back, in a miniature of the real DAG."""

from miniature import REMOVED, followers
from penumbra.artifacts.tables import read_json
from penumbra.workflow import contract

DETECTOR = {"method": "sona", "bands": ["all"], "recipe": "energy"}
STAGES = {"train@sona-energy", "infer@sona-energy", "score@sona-energy"}
GATHER = {"score-control@reconstruction", "benchmark", "report"}


def test_a_detector_is_one_line_leaves_nothing_when_it_goes_and_comes_back_without_running(here, monkeypatch):
    before, names = here.outputs(), set(contract.load().stages)
    here.change_param("train.detectors.sona-energy", DETECTOR)
    here.reproduce(monkeypatch)
    assert set(contract.load().stages) == names | STAGES and set(here.counters()) == STAGES | GATHER
    with_it = here.outputs()
    assert {path for path in with_it.keys() - before.keys() if path.startswith("data/scores")} == {"data/scores/sona-energy.parquet"}

    here.reset()
    here.change_param("train.detectors.sona-energy", REMOVED)
    here.reproduce(monkeypatch)
    assert set(contract.load().stages) == names
    assert not here.counters() and here.outputs() == before  # gathering stages come from the run cache, so they saw what they saw before
    assert here.status() == {}

    here.change_param("train.detectors.sona-energy", DETECTOR)
    here.reproduce(monkeypatch)
    assert not here.counters() and here.outputs() == with_it


def test_what_the_cache_lacks_is_left_where_it_is_and_is_not_read(here, monkeypatch):
    here.change_param("train.detectors.sona-energy", DETECTOR)
    here.reproduce(monkeypatch)
    here.reset()
    edited = here.root / "data/scores/sona-energy.parquet"
    edited.write_text("mine")
    (here.root / "data/scores/mine.parquet").write_text("mine")
    here.change_param("train.detectors.sona-energy", REMOVED)
    here.reproduce(monkeypatch)
    assert edited.read_text() == "mine" and (here.root / "data/scores/mine.parquet").exists()
    assert not (here.root / "data/detectors/sona-energy").exists()
    assert set(here.counters()) == {"benchmark"}  # whose folder holds other things; its bytes are as before


def test_a_detector_comes_by_an_experiment_and_goes_with_it(here, monkeypatch):
    before = here.outputs()
    line = "{method: sona, bands: [all], recipe: energy}"
    here.dvc_here(monkeypatch, "exp", "run", "-n", "another", "-S", f"+train.detectors.sona-energy={line}")
    assert set(here.counters()) == STAGES | GATHER and here.status() == {}
    here.reset()
    here.run("git", "checkout", "-q", "-f", "HEAD")
    here.run("git", "clean", "-fdq")
    here.reproduce(monkeypatch)
    assert set(here.counters()) <= GATHER - {"report"}  # the first finds something in its folder that is of no stage, and takes it away
    assert here.outputs() == before and here.status() == {}
    assert not here.run("git", "status", "--porcelain").stdout


def test_a_variant_follows_what_it_is_like_but_for_what_it_says_itself(here, planned, monkeypatch):
    here.change_param("synthesize.sona.sona-close", {"like": "sona", "words": "close"})
    here.reproduce(monkeypatch)
    assert {"synthesize-sona@sona-close", "benchmark"} <= set(here.counters()) and "synthesize-sona@sona" not in here.counters()
    variant, original = "synthesize-sona@sona-close", "synthesize-sona@sona"
    inherited = read_json(contract.CODE)["synthesize"]["sona-close"]["inherited"]
    assert "steps" in inherited and not {"words", "like"} & inherited.keys()
    here.change_param("synthesize.sona.sona.words", "far")
    will, _ = planned(here)
    assert original in will and variant not in will
    here.change_param("synthesize.sona.sona.steps", 21)
    will, may = planned(here)
    assert {original, variant} <= will and will | may == {"code"} | followers({original, variant})
    here.reset()
    here.reproduce(monkeypatch)
    assert {original, variant, "train@sona-all", "report"} <= set(here.counters()) and "train@none" not in here.counters()


def of_grids(miniature):
    return {path: digest for path, digest in miniature.outputs().items() if path.startswith(("data/grids/", "data/scores/grid/"))}


def test_a_grid_comes_without_running_what_is_there_and_by_both_engines_to_the_same_bytes(here, monkeypatch, tmp_path):
    """Its images and scores are beside those of the experiment: prepare, infer and score see nothing of it."""
    here.change_param("grid.morphs.noise", {"novel": ["mnist-6-9"], "levels": 8, "shift": "noise", "strongest": 0.5, "per_cell": 60})
    here.change_param("grid.detectors", ["none", "sona-all"])
    other = here.copy(tmp_path / "other")
    here.reproduce(monkeypatch)
    grid = {"grid-morphs@noise", "grid-scores@none", "grid-scores@sona-all"}
    assert set(here.counters()) == grid | {"benchmark", "report"}
    other.penumbra("repro", *sorted(grid))
    assert set(other.counters()) == grid and of_grids(other) == of_grids(here) and len(of_grids(here)) == len(grid)
    here.reset()
    here.change_param("score.knn_k", 49)
    here.reproduce(monkeypatch)
    assert {"grid-scores@none", "score@none"} <= set(here.counters()) and "grid-morphs@noise" not in here.counters()
