"""Splits go by source image, stratified, and depend on nothing but the ids and the seed."""

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penumbra.errors import PenumbraError
from penumbra.prepare.split import Member, class_order, shuffled, split_members


def members(count: int, classes: int = 3) -> dict[str, Member]:
    return {f"image-{index}": Member(str(index % classes), None) for index in range(count)}


@given(st.integers(15, 200), st.floats(0.05, 0.4), st.floats(0.05, 0.4), st.integers(0, 5))
@settings(max_examples=40)
def test_every_class_gives_its_share_to_every_split(count: int, val_share: float, test_share: float, seed: int):
    found = members(count)
    splits = split_members(found, val_share, test_share, seed)
    assert splits.keys() == found.keys()
    for name in "012":
        sizes = Counter(split for source_id, split in splits.items() if found[source_id].class_name == name)
        total = sum(sizes.values())
        assert (
            sizes["test"] == max(1, round(test_share * total)) and sizes["val"] == max(1, round(val_share * total)) and sizes["train"] > 0
        )


def test_split_ignores_the_order_of_the_images_but_not_the_seed():
    found = members(90)
    mixed = list(found.items())
    random.Random(1).shuffle(mixed)
    assert split_members(dict(mixed), 0.2, 0.2, 0) == split_members(found, 0.2, 0.2, 0)
    assert split_members(found, 0.2, 0.2, 1) != split_members(found, 0.2, 0.2, 0)


def test_official_test_images_are_the_test_split_and_nothing_else_is():
    found = {f"{part}/{index}": Member(str(index % 2), part) for part in ("train", "test") for index in range(40)}
    splits = split_members(found, 0.25, 0.5, 0)
    assert {source_id for source_id, split in splits.items() if split == "test"} == {i for i in found if i.startswith("test/")}
    assert Counter(splits.values()) == {"test": 40, "val": 10, "train": 30}


def test_class_too_small_for_three_splits_is_named():
    with pytest.raises(PenumbraError, match=r"2 images of class '1'"):
        split_members({"a": Member("1", None), "b": Member("1", None)}, 0.1, 0.1, 0)


def test_labels_follow_numbers_by_value_and_names_by_alphabet():
    assert class_order(["10", "9", "dog", "cat", "2", "dog"]) == ["2", "9", "10", "cat", "dog"]


def test_a_limit_keeps_the_images_that_a_larger_limit_keeps():
    ids = [f"image-{index}" for index in range(50)]
    assert set(shuffled(ids, 0, "x")[:10]) < set(shuffled(ids, 0, "x")[:20])
    assert shuffled(reversed(ids), 0, "x") == shuffled(ids, 0, "x") != sorted(ids)
