"""ID classes and captions in words that fit into any prompt, whatever the images come from."""

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from penumbra.artifacts.captions import concepts, read_captions
from penumbra.artifacts.images import ImageWriter, encode
from penumbra.artifacts.vocabulary import captions, vocabulary
from penumbra.prepare.sources import folder
from penumbra.stage import Params

COLUMNS = {"label": pa.int64(), "class": pa.string(), "caption": pa.string()}


@pytest.fixture
def photos(tmp_path):
    """data/images of a folder of photos: two of a gold_fish, one of an elk."""
    for name in ("gold_fish/1", "gold_fish/2", "elk/1"):
        path = tmp_path / "photos" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(path)
    records = list(folder.read(Params({"path": str(tmp_path / "photos"), "classes": None}), "prepare.id", 0))
    names = sorted({record.class_name for record in records})
    with ImageWriter(tmp_path / "train.parquet", COLUMNS, {"classes": names}) as writer:
        for record in records:
            pixels = encode(np.zeros((4, 4, 3), np.uint8))
            writer.add(pixels, label=names.index(record.class_name), caption=record.caption, **{"class": record.class_name})
    return tmp_path / "train.parquet"


def test_a_class_of_photos_is_called_by_its_name_alone(photos):
    assert concepts(photos) == ["elk", "gold fish"]
    assert sorted(read_captions(photos)) == ["elk", "gold fish", "gold fish"]
    assert sorted(captions(photos)) == ["elk", "gold fish", "gold fish"]


def test_a_vocabulary_is_free_of_the_classes_of_photos(photos):
    assert vocabulary(["Gold fish", "sea", "elk"], concepts(photos), "words.txt") == ["sea"]
