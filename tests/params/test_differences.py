"""A section that is `like` another one."""

import copy

import pytest

from penumbra.differences import expand

SONA = {"method": "sona", "scale": 10, "stop": [1, 20], "inner": {"a": 1, "b": {"c": 2}}}


def synthesize(**sections):
    return {"common": {"seed": 0}, "synthesize": {"sona": SONA, **sections}}


def test_it_is_the_other_one_but_for_its_own_keys():
    content = synthesize(far={"like": "sona", "scale": 3, "inner": {"b": {"c": 9}}})
    before = copy.deepcopy(content)
    assert expand(content)["synthesize"]["far"] == {
        "method": "sona",
        "scale": 3,
        "stop": [1, 20],
        "inner": {"a": 1, "b": {"c": 9}},
    }
    assert content == before


def test_a_list_is_replaced_as_a_whole():
    assert expand(synthesize(late={"like": "sona", "stop": [5, 5]}))["synthesize"]["late"]["stop"] == [5, 5]


@pytest.mark.parametrize("section", [{"like": "nobody"}, {"like": ["sona"]}, {"scale": 1}, 3, None])
def test_what_is_like_nothing_stays_as_it_is(section):
    assert expand(synthesize(other=section))["synthesize"]["other"] == section


def test_differences_do_not_chain():
    content = synthesize(far={"like": "sona", "scale": 3}, farther={"like": "far", "stop": [9, 9]})
    assert expand(content)["synthesize"]["farther"] == {"like": "far", "stop": [9, 9]}


def test_recipes_have_them_too_and_other_sections_do_not():
    recipes = {"good": {"beta": 1, "flip": True}, "more": {"like": "good", "beta": 5}}
    content = {"train": {"recipes": recipes}, "filter": {"x": {"like": "y"}}}
    assert expand(content)["train"]["recipes"]["more"] == {"beta": 5, "flip": True}
    assert expand(content)["filter"] == {"x": {"like": "y"}}
    assert expand({"train": {"seeds": [0]}}) == {"train": {"seeds": [0]}}
