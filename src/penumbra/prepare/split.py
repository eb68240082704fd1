"""Which source image goes to training, validation or test."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from penumbra.errors import PenumbraError
from penumbra.seeds import derive

SPLITS = ("train", "val", "test")


class Member(NamedTuple):
    """What the split needs to know of a source image."""

    class_name: str
    official: str | None


def class_order(names: Iterable[str]) -> list[str]:
    """Class names in the order of their labels: numbers by value, then names by alphabet."""
    return sorted(set(names), key=lambda name: (0, int(name), "") if name.isdecimal() else (1, 0, name))


def shuffled(ids: Iterable[str], seed: int, purpose: str) -> list[str]:
    """The ids in an order that depends on nothing but each id, the seed and the purpose."""
    return sorted(ids, key=lambda source_id: (derive(seed, purpose, source_id), source_id))


def split_members(members: Mapping[str, Member], val_share: float, test_share: float | None, seed: int) -> dict[str, str]:
    """Split source images, stratified by class.

    A class gives round(share x its images), at least one, to validation and to test. What the source officially calls
    test is test, and then nothing else is; validation is a share of the rest.

    Args:
        members: source id -> class and official split.
        val_share, test_share: in [0, 1); test_share None: none of these is test.

    Returns:
        Source id -> "train", "val" or "test".

    Raises:
        PenumbraError: a class is too small to appear in every split.
    """
    official = test_share is None or any(member.official == "test" for member in members.values())
    splits = {source_id: "test" for source_id, member in members.items() if member.official == "test"}
    pools = defaultdict(list)
    for source_id, member in members.items():
        if source_id not in splits:
            pools[member.class_name].append(source_id)
    for name, pool in pools.items():
        pool = shuffled(pool, seed, "prepare/split")
        tests = 0 if official else max(1, round(test_share * len(pool)))
        vals = max(1, round(val_share * len(pool)))
        if len(pool) <= tests + vals:
            filled = "train and val" if test_share is None else "train, val and test"
            raise PenumbraError(f"prepare.id: {len(pool)} images of class {name!r} do not fill {filled}. Add images.")
        splits |= {source_id: "test" if rank < tests else "val" if rank < tests + vals else "train" for rank, source_id in enumerate(pool)}
    return splits
