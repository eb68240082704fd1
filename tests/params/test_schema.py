"""params.yaml is refused at once, one line per problem, for anything that it must not say."""

import subprocess
import sys
from collections.abc import Iterator
from itertools import zip_longest

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from params_content import CONTENT, LOSSES, PARAMS, changed, lookup, refusal

from penumbra.experiment.differences import expand
from penumbra.experiment.load import known_leaves, validate

LEAVES = known_leaves(CONTENT)
SECTIONS = sorted({leaf.rsplit(".", depth)[0] for leaf in LEAVES for depth in range(1, leaf.count(".") + 1)})
FREE = {  # sections whose keys are not prescribed
    *(f"prepare.{group}" for group in ("near", "far", "calibration", "world", "clip_world", "shift.kinds", "shift.sets")),
    *(key for key in SECTIONS if key.count(".") == 1 and key.split(".")[0] in ("pretrain", "extract", "synthesize")),
    *(key for key in SECTIONS if key.count(".") == 2 and key.startswith("train.recipes.")),
    *("synthesize.good.good.guidances", "benchmark.ablations", "train.detectors", "calibrate", "filter", "score.more"),
}
LIKE = {key for key in SECTIONS if "like" in lookup(CONTENT, key)}  # sections that are differences to others
FREE |= {key for key in SECTIONS if key.startswith("benchmark.ablations.") and key.endswith(".variants")}
PRESCRIBED = [key for key in SECTIONS if key not in FREE and not any(key == like or key.startswith(f"{like}.") for like in LIKE)]
WRONG = {
    bool: [1, "yes", [True]],
    int: ["8", True, [1]],
    float: ["0.1", True, [1]],
    str: [7, True, ["x"]],
    list: ["x", 3, True],
    type(None): [True],
    dict: ["x", 3, [1]],
}


def test_committed_params_are_valid():
    assert validate(PARAMS).model_dump() == expand(CONTENT)


def without_default() -> Iterator[list[str]]:
    """All keys that must be there, each once; those that are left out together are of different sections.

    Sections go one by one, and so do keys that say how their section is read.
    """
    sections: dict[str, list[str]] = {}
    for key in LEAVES:
        sections.setdefault(key.rpartition(".")[0], []).append(key)
    alone = [*SECTIONS, *(key for key in LEAVES if key.rpartition(".")[2] in ("method", "loss"))]
    kept = [[key for key in keys if key not in alone] for section, keys in sections.items() if section in PRESCRIBED]
    yield from ([key] for key in alone if key.rpartition(".")[0] in PRESCRIBED)
    yield from ([key for key in group if key] for group in zip_longest(*kept))


def test_no_key_has_a_default():
    for keys in without_default():
        lines = refusal(changed(dict.fromkeys(keys, ...)))
        assert sorted(lines) == sorted(f"params.yaml: {key}: is missing; there are no defaults" for key in keys)


@settings(max_examples=80)
@given(
    section=st.sampled_from(PRESCRIBED),
    key=st.from_regex(r"[a-z_]{1,12}", fullmatch=True),
)
def test_an_unknown_key_is_named(section, key):
    if key not in lookup(CONTENT, section):
        lines = refusal(changed({f"{section}.{key}": 1}))
        assert len(lines) == 1
        assert lines[0].startswith(f"params.yaml: {section}.{key}: unknown key")


@settings(max_examples=80)
@given(data=st.data())
def test_a_value_of_another_type_is_named(data):
    leaf = data.draw(st.sampled_from([leaf for leaf in LEAVES if leaf.split(".")[-1] != "like"]))
    wrong = data.draw(st.sampled_from([*WRONG[type(lookup(CONTENT, leaf))], {"key": 1}]))
    lines = refusal(changed({leaf: wrong}))
    assert lines
    assert all(line.startswith(f"params.yaml: {leaf}") for line in lines)


@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_that_is_a_value_is_named(section):
    assert refusal(changed({section: 3})) == [f"params.yaml: {section} = 3: must be a section"]


def test_a_misspelt_key_is_one_line_with_the_right_spelling():
    section = {("epoch" if key == "epochs" else key): value for key, value in CONTENT["pretrain"]["rdm"]["rcg"].items()}
    lines = refusal(changed({"pretrain.rdm.rcg": section}))
    assert lines == ["params.yaml: pretrain.rdm.rcg.epoch: unknown key; did you mean epochs?"]


def test_a_misspelt_score_is_one_line_with_the_nearest_and_all():
    (line,) = refusal(changed({"score.more.mine": {"score": "reakt", "quantile": 0.9, "images": "train"}}))
    assert line.startswith("params.yaml: score.more.mine.score = \"reakt\": must be one of 'ash', 'deconf', 'dice', 'gen', ")
    assert line.endswith("'vim'; did you mean react?")


def test_every_problem_has_its_own_line():
    lines = refusal(changed({"common.seed": -1, "score.calibrator": "spline", "train.recipes.scratch.energy.flip": "no"}))
    assert lines == [
        "params.yaml: common.seed = -1: must be at least 0",
        'params.yaml: train.recipes.scratch.energy.flip = "no": must be true or false',
        "params.yaml: score.calibrator = \"spline\": must be 'beta', 'temperature', 'platt' or 'isotonic'",
    ]


def test_a_fault_of_an_entry_that_others_are_like_is_said_once():
    lines = refusal(changed({"train.recipes.clip.synood.groups": 0, "synthesize.badood.badood.t": -1}))
    assert lines == [
        "params.yaml: synthesize.badood.badood.t = -1: must be at least 0",
        "params.yaml: train.recipes.clip.synood.groups = 0: must be at least 1",
    ]
    content = changed({"train.recipes.scratch.energy.loss": "hinge"})
    content["train"]["recipes"]["scratch"]["more"] = {"like": "energy", "beta": 1.0}
    lines = refusal(content)
    assert lines == [f'params.yaml: train.recipes.scratch.energy.loss = "hinge": must be one of {LOSSES}']


def test_leaves_are_values_lists_and_empty_sections():
    assert known_leaves({"a": {"b": 1, "c": {"d": [1, 2], "e": {}}}, "f": None}) == ["a.b", "a.c.d", "a.c.e", "f"]


def test_validation_imports_nothing_heavy():
    code = "import sys, penumbra.experiment.load; print(*{'torch', 'dvc', 'snakemake', 'numpy', 'pandas'} & sys.modules.keys())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""
