"""What prepare.id may say beside its source, and that nothing is added to what it does not say."""

import copy
from pathlib import Path

import pytest

from penumbra.errors import PenumbraError
from penumbra.experiment.load import load, typed

CONTENT = load(Path(__file__).parents[2] / "params.yaml")
FOLDER = {"source": "folder", "path": "/train", "root": None, "classes": None, "val_share": 0.2, "test_share": None}
TEST = {"source": "folder", "path": "/test", "root": None, "classes": None, "limit": None}
LIST = TEST | {"source": "imglist", "path": "/test.txt", "sha256": "0" * 64}


def experiment(own: dict, **near):
    content = copy.deepcopy(CONTENT)
    content["prepare"]["id"] = own
    content["prepare"]["near"] |= near
    return typed(content, "params.yaml")


@pytest.mark.parametrize("more", [{"test": TEST}, {"test": LIST}, {"test": TEST, "names": "names.txt"}])
def test_a_dump_is_what_was_given(more):
    assert experiment(FOLDER | more).prepare.id.model_dump() == FOLDER | more
    listed = FOLDER | {"source": "imglist", "path": "/train.txt", "sha256": None}
    assert experiment(listed | more).prepare.id.model_dump() == listed | more


def test_null_is_as_good_as_nothing():
    plain = FOLDER | {"test_share": 0.2}
    assert experiment(plain | {"names": None, "test": None}).prepare.id.model_dump() == plain
    assert typed(CONTENT, "params.yaml").prepare.id.model_dump() == CONTENT["prepare"]["id"]


@pytest.mark.parametrize(
    ("own", "near", "said"),
    [
        (FOLDER, {}, "prepare.id.test_share = null: must be a share, or null where prepare.id.test has the test images"),
        (FOLDER | {"test": TEST, "test_share": 0.1}, {}, "prepare.id.test_share = 0.1: must be a share, or null where"),
        (FOLDER | {"test": TEST | {"path": "/train"}}, {}, 'prepare.id.test.path = "/train": must be another place than prepare.id.path'),
        (FOLDER | {"test": TEST | {"path": None}}, {}, "prepare.id.test.path = null: must be where the images of source folder lie"),
        (FOLDER | {"test": TEST | {"sha256": None}}, {}, "prepare.id.test.sha256 = null: must be left out"),
        (FOLDER | {"test": TEST | {"share": 1}}, {}, "prepare.id.test.share: unknown key"),
        (FOLDER | {"test": {"source": "folder"}}, {}, "prepare.id.test.path: is missing"),
        (FOLDER | {"test": TEST, "names": ""}, {}, 'prepare.id.names = "": must be text'),
        (
            FOLDER | {"test": TEST},
            {"more": TEST},
            "prepare.near.more.classes = null: must have no class of source folder in common with prepare.id.test",
        ),
        (
            FOLDER | {"test": TEST, "classes": ["cat", "dog"]},
            {"more": TEST | {"classes": ["dog"]}},
            'prepare.near.more.classes = ["dog"]: must have no class of source folder in common with prepare.id.test',
        ),
    ],
)
def test_what_cannot_be_is_refused(own, near, said):
    with pytest.raises(PenumbraError) as error:
        experiment(own, **near)
    assert any(said in line for line in str(error.value).splitlines()), str(error.value)


def test_other_classes_of_the_test_folder_may_be_near():
    experiment(FOLDER | {"test": TEST, "classes": ["cat", "dog"]}, more=TEST | {"classes": ["newt"]})
