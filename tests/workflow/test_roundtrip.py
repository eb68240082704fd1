"""New values in an old YAML text: only what changes is rewritten."""

import copy
import difflib
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from penumbra.experiment.load import load
from penumbra.workflow.roundtrip import flow, reads_as, rewritten

ROOT = Path(__file__).parents[2]
TEXT = """\
# about all
common:
  seed: 0          # of everything
  name: 'one'      # in quotes
  path:            # nowhere
base: &base        # an anchor
  rate: 1.0
  size: [1, 2]     # a list
  # about the rest
  nested: {a: 1}
like:
  <<: *base
  rate: 2.0        # its own
alias: *base
blocks:
  - a
  - b              # the last
# about the end
end: {x: 1, z: [a, b]}
"""


def content(text=TEXT):
    return YAML(typ="safe", pure=True).load(text)


def differing(before, after):
    """Lines that are gone and lines that are new."""
    lines = [line for line in difflib.ndiff(before.splitlines(), after.splitlines()) if line[:2] in ("- ", "+ ")]
    return [line[2:] for line in lines if line[0] == "-"], [line[2:] for line in lines if line[0] == "+"]


@pytest.mark.parametrize(
    ("change", "gone", "new"),
    [
        (lambda c: None, [], []),
        (lambda c: c["common"].update(seed=12345), ["  seed: 0          # of everything"], ["  seed: 12345      # of everything"]),
        (lambda c: c["common"].update(path="/a b"), ["  path:            # nowhere"], ["  path: /a b       # nowhere"]),
        (lambda c: c["common"].update(new=[1, "2"]), [], ["  new: [1, '2']"]),
        (lambda c: c["common"].pop("name"), ["  name: 'one'      # in quotes"], []),
        (lambda c: c["end"].update(x=2), ["end: {x: 1, z: [a, b]}"], ["end: {x: 2, z: [a, b]}"]),
        (lambda c: c.update(blocks=["a"]), ["blocks:", "  - a", "  - b              # the last"], ["blocks: [a]        # the last"]),
        (lambda c: c["like"].update(size=[3]), [], ["  size: [3]"]),
        (lambda c: c["like"].pop("nested"), ["  <<: *base"], ["  size: [1, 2]"]),
        (lambda c: c.update(alias=7), ["alias: *base"], ["alias: 7"]),
        (lambda c: c.pop("end"), ["end: {x: 1, z: [a, b]}"], []),
        (lambda c: c.update(last={"a": {"b": "c"}}), [], ["last: {a: {b: c}}"]),
    ],
)
def test_a_change_touches_its_own_lines(change, gone, new):
    wanted = copy.deepcopy(content())
    change(wanted)
    found = rewritten(TEXT, wanted)
    assert reads_as(found, wanted)
    assert differing(TEXT, found) == (gone, new)


def test_what_inherits_keeps_its_value_when_the_anchor_changes():
    wanted = copy.deepcopy(content())
    wanted["base"] = {"rate": 1.0, "size": [9], "nested": {"a": 1}}
    found = rewritten(TEXT, wanted)
    assert reads_as(found, wanted)
    assert "  <<: *base\n  rate: 2.0        # its own\n  size: [1, 2]\n" in found and "  size: [9]        # a list\n" in found


def test_what_inherited_from_an_anchor_that_goes_is_written_out():
    wanted = copy.deepcopy(content())
    del wanted["base"]
    found = rewritten(TEXT, wanted)
    assert reads_as(found, wanted)
    assert "like:\n  rate: 2.0        # its own\n  size: [1, 2]\n  nested: {a: 1}\nalias: {" in found
    assert "seed: 0          # of everything" in found


@pytest.mark.parametrize(
    "text", ["yes", "On", "1", "1.0", "1e3", "1:30", "1_0", "0x1f", "null", "~", "", "a: b", "#", "- a", "*a", "a\nb", "é", "{}"]
)
def test_texts_stay_texts_for_yaml_of_both_kinds(text):
    from omegaconf import OmegaConf

    assert content(f"a: {flow(text)}") == OmegaConf.create(f"a: {flow(text)}") == {"a": text}


@pytest.mark.parametrize("change", [lambda c: c.pop("one"), lambda c: c["one"].update(a=3), lambda c: c.update(other=[{"a": 2}, 2])])
def test_an_anchor_within_a_list_costs_comments_in_the_sections_with_anchors_alone(change):
    text = "free: 1     # stays\none: &one {a: 1}   # goes\nother:\n  - *one\n  - 2\n"
    wanted = copy.deepcopy(content(text))
    change(wanted)
    found = rewritten(text, wanted)
    assert reads_as(found, wanted) and found.startswith("free: 1     # stays\n")


SCALARS = st.none() | st.booleans() | st.integers(-99, 99) | st.floats(-9, 9) | st.sampled_from(["a", "yes", "1", "", "b c", "#"])
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcdef"), inner, max_size=4))
SECTIONS = st.dictionaries(st.sampled_from("abcdef"), VALUES, min_size=1)


@settings(max_examples=150)
@given(SECTIONS, SECTIONS)
def test_any_content_becomes_any_other(before, after):
    stream = io.StringIO()
    YAML().dump(before, stream)
    assert reads_as(rewritten(stream.getvalue(), after), after)


def test_the_committed_parameters_need_no_change():
    text = (ROOT / "params.yaml").read_text()
    assert rewritten(text, load(ROOT / "params.yaml")) == text
