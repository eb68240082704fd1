"""The section infer of params.yaml: it may be missing, and with it the pass of the detectors that it names is another, and no other."""

import copy
from pathlib import Path

import pytest

from penumbra.experiment.differences import expand
from penumbra.experiment.load import load, typed
from penumbra.workflow import code, contract, estimate
from penumbra.workflow.composition import compose

ROOT = Path(__file__).parents[2]
CONTENT = load(ROOT / "params.yaml")


@pytest.fixture(scope="module")
def dag():
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        contract.load.cache_clear()
        yield contract.load()
        contract.load.cache_clear()


def asking(dag, **infer):
    """The contract with a section infer."""
    given = CONTENT | {"infer": infer}
    return contract.Contract(dag.stages.values(), given, typed(given, "params.yaml"))


def recorded(dag, name):
    place = code.entries(dag)
    for key in dag.entry(name).key.split("."):
        place = place[key]
    return place


def test_the_overlay_asks_for_what_its_scores_take_and_without_it_there_is_no_section():
    plain, found = (compose(ROOT / "conf", ["experiment=digits", *more]) for more in ([], ["+ablations=layers"]))
    assert "infer" not in plain and typed(plain, "params.yaml").infer is None
    assert typed(plain, "params.yaml").model_dump() == expand(plain)
    assert typed(found, "params.yaml").model_dump() == expand(found) and found["infer"]["detectors"] == ["none"]
    rest = copy.deepcopy(found)
    del rest["infer"], rest["score"]["more"]["gram"], rest["score"]["more"]["mahalanobis-layers"]
    assert rest == plain


def test_the_stages_that_it_names_are_given_it_and_depend_on_it_and_no_others(dag, monkeypatch):
    monkeypatch.chdir(ROOT)
    few, more = (asking(dag, detectors=["none", "badood-mid"], layers=[3], powers=powers) for powers in (0, 2))
    named = {"infer@none", "infer@badood-mid"}
    given = [{name: each.params(entry).plain() for name, entry in each.stages.items()} for each in (dag, few, more)]
    assert {name for name in dag.stages if given[0][name] != given[1][name]} == named
    assert given[2]["infer@none"] == given[0]["infer@none"] | {"infer": {"layers": [3], "powers": 2}}
    entries = [code.entries(each)["infer"] for each in (dag, few, more)]
    assert {f"infer@{name}" for name in entries[0] if entries[0][name] != entries[1][name]} == named
    assert {f"infer@{name}" for name in entries[0] if entries[1][name] != entries[2][name]} == named
    assert recorded(more, "infer@none")["inherited"] == {"infer": {"layers": [3], "powers": 2}}
    assert "inherited" not in recorded(more, "infer@good-all") and recorded(more, "train@none") == recorded(dag, "train@none")


def test_its_disk_is_estimated(dag, monkeypatch):
    monkeypatch.chdir(ROOT)
    all_layers = asking(dag, detectors=["none"], layers="all", powers=10)
    plain, asked = ({each.name: each.bytes for each in estimate.estimates(found)} for found in (dag, all_layers))
    assert {name for name in plain if plain[name] != asked[name]} == {"infer@none"} and asked["infer@none"] > 20 * plain["infer@none"]
