"""What DVC does with less work in this process is what it does by itself."""

from pathlib import Path

import dpath
import pytest
from dvc.dependency import param
from dvc.utils.serialize import dump_yaml, load_yaml

from penumbra.workflow.repository import sparing

LOCK = Path(__file__).parents[2] / "dvc.lock"
CONTENT = {"a": {"b": 1, "c": [5, 6], "d": None}, "e": "text", "f": {}}


def test_a_lock_has_no_layout_but_what_writing_it_gives_it(tmp_path):
    with sparing():
        dump_yaml(tmp_path / "dvc.lock", load_yaml(LOCK))
    assert (tmp_path / "dvc.lock").read_bytes() == LOCK.read_bytes()


@pytest.mark.parametrize("key", ["a", "a.b", "a.c", "a.c.1", "a.d", "a.none", "e", "e.x", "f", "g.h", "*.b"])
def test_a_parameter_is_what_dpath_finds(key):
    def found(get):
        try:
            return get(CONTENT, key, separator=".")
        except KeyError:
            return KeyError

    with sparing():
        assert found(param.dpath.get) == found(dpath.get)
