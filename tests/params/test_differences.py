"""A section that is `like` another one."""

import copy

import pytest

from penumbra.experiment.differences import expand, inherited, taken_over, unlike

SONA = {"scale": 10, "stop": [1, 20], "inner": {"a": 1, "b": {"c": 2}}}


def synthesize(**sections):
    return {"common": {"seed": 0}, "synthesize": {"sona": {"sona": SONA, **sections}, "badood": {"badood": {"t": 3}}}}


def expanded(**sections):
    return expand(synthesize(**sections))["synthesize"]["sona"]


def test_it_is_the_other_one_but_for_its_own_keys():
    content = synthesize(far={"like": "sona", "scale": 3, "inner": {"b": {"c": 9}}})
    before = copy.deepcopy(content)
    assert expand(content)["synthesize"]["sona"]["far"] == {"scale": 3, "stop": [1, 20], "inner": {"a": 1, "b": {"c": 9}}}
    assert content == before


def test_a_list_is_replaced_as_a_whole():
    assert expanded(late={"like": "sona", "stop": [5, 5]})["late"]["stop"] == [5, 5]


@pytest.mark.parametrize("section", [{"like": "nobody"}, {"like": ["sona"]}, {"like": "badood"}, {"scale": 1}, 3, None])
def test_what_is_like_nothing_of_its_kind_stays_as_it_is(section):
    assert expanded(other=section)["other"] == section


def test_differences_do_not_chain():
    content = synthesize(far={"like": "sona", "scale": 3}, farther={"like": "far", "stop": [9, 9]})
    assert expand(content)["synthesize"]["sona"]["farther"] == {"like": "far", "stop": [9, 9]}
    assert list(unlike(content)) == [(("synthesize", "sona", "farther"), ["sona"])]


def test_recipes_have_them_too_and_other_sections_do_not():
    recipes = {"classifier": {"good": {"beta": 1, "flip": True}, "more": {"like": "good", "beta": 5}}}
    content = {"train": {"recipes": recipes}, "filter": {"x": {"like": "y"}}}
    assert expand(content)["train"]["recipes"]["classifier"]["more"] == {"beta": 5, "flip": True}
    assert expand(content)["filter"] == {"x": {"like": "y"}}
    scores = {"odin": {"score": "odin", "noise": 1}, "still": {"like": "odin", "noise": 0}}
    assert expand({"rerun": {"detectors": [], "scores": scores}})["rerun"]["scores"]["still"] == {"score": "odin", "noise": 0}
    assert expand({"train": {"seeds": [0]}}) == {"train": {"seeds": [0]}}


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ({"like": "sona"}, SONA),
        ({"like": "sona", "scale": 10}, {"stop": [1, 20], "inner": {"a": 1, "b": {"c": 2}}}),  # said again is said
        ({"like": "sona", "scale": 3, "stop": [5, 5], "inner": {"a": 2}}, {"inner": {"b": {"c": 2}}}),
        ({"like": "sona", "inner": {"b": 7}}, {"scale": 10, "stop": [1, 20], "inner": {"a": 1}}),
        ({"like": "sona", "new": 1, "inner": 3}, {"scale": 10, "stop": [1, 20]}),
        (SONA, {}),
        ({"like": "nobody"}, {}),
        ({"like": ["sona"]}, {}),
        (None, {}),
    ],
)
def test_what_is_taken_over_is_the_rest_of_the_other_one(section, expected):
    assert taken_over(synthesize(far=section), ("synthesize", "sona", "far")) == expected


def test_a_section_and_what_it_takes_over_are_all_of_its_values():
    far = {"like": "sona", "scale": 3, "inner": {"b": {"c": 9}}}
    rest = taken_over(synthesize(far=far), ("synthesize", "sona", "far"))
    again = expand({"synthesize": {"sona": {"sona": rest, "far": far}}})["synthesize"]["sona"]["far"]
    assert again == expanded(far=far)["far"]


def test_a_change_of_what_a_section_says_itself_changes_nothing_of_what_it_takes_over():
    content = synthesize(far={"like": "sona", "scale": 3})
    before = taken_over(content, ("synthesize", "sona", "far"))
    content["synthesize"]["sona"]["sona"] = SONA | {"scale": 99}
    assert taken_over(content, ("synthesize", "sona", "far")) == before
    content["synthesize"]["sona"]["sona"] = SONA | {"stop": [1, 2]}
    assert taken_over(content, ("synthesize", "sona", "far")) != before


@pytest.mark.parametrize(
    ("loc", "expected"),
    [
        (("synthesize", "sona", "far", "stop"), True),
        (("synthesize", "sona", "far", "like"), True),
        (("synthesize", "sona", "far", "stop", 1), True),
        (("synthesize", "sona", "far", "scale"), False),
        (("synthesize", "sona", "far", "inner", "b", "c"), True),
        (("synthesize", "sona", "far", "inner", "a"), False),
        (("synthesize", "sona", "far"), False),
        (("synthesize", "sona", "far", "[key]"), False),  # its own name
        (("synthesize", "sona", "far", "inner", "a", "[key]"), False),
        (("synthesize", "sona", "far", "inner", "b", "[key]"), True),
        (("synthesize", "sona", "sona", "stop"), False),
        (("common", "seed"), False),
    ],
)
def test_a_value_is_inherited_where_the_section_does_not_say_it(loc, expected):
    assert inherited(synthesize(far={"like": "sona", "scale": 3, "inner": {"a": 4}}), loc) is expected
