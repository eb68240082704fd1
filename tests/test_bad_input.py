"""Whatever comes in from outside, a door answers within seconds: it is accepted whole, or refused with a line that names the place.

A few examples here; PENUMBRA_EXAMPLES=1000 makes that many of each kind.
"""

import io
import os
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from penumbra.artifacts.images import read_pixels, read_provenance, read_table
from penumbra.artifacts.tensors import read_tensors, write_tensors
from penumbra.errors import PenumbraError
from penumbra.experiment.load import load, validate
from penumbra.experiment.schema import Experiment
from penumbra.prepare.params import OodSource
from penumbra.prepare.pixels import load_pixels, read_file
from penumbra.prepare.record import Record, Unusable, read_source
from penumbra.workflow import damage, outside

ROOT = Path(__file__).parents[1]
PARAMS = (ROOT / "params.yaml").read_text()
LINES = PARAMS.splitlines()
EXAMPLES = int(os.environ.get("PENUMBRA_EXAMPLES", 12))
MOST = 5.0  # CPU seconds of an answer
AT_DOORS = settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
VALUES = ["", "null", "-1", "0", "1e400", ".nan", ".inf", "2001-02-30", "[", "{a: 1}", "&a [*a]", "*a", "!!python/none", "'\\0'", "'x\\r'",
          '"x\\r"', '"\\0"', "yes", "0x1F", "1_000", "\u2028", "\ufeff", "[[]]", "9" * 30, "~", "? x", "!!binary aGk=", "../x"]  # fmt: skip


class Timed:
    """Within this no more than MOST CPU seconds pass."""

    def __enter__(self):
        self.start = time.process_time()

    def __exit__(self, *_):
        assert time.process_time() - self.start < MOST


def told(error: PenumbraError, *names: str) -> None:
    """The answer has short lines, each of which names what it is about."""
    for line in str(error).splitlines():
        assert any(name in line for name in names) and len(line) < 1000, line


@st.composite
def damaged(draw, content: bytes) -> bytes:
    """A file with some bytes changed, taken out or put in, or cut."""
    data = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(len(data) - 1, 0)))
        how = draw(st.sampled_from(["flip", "cut", "insert", "remove", "repeat"]))
        if how == "flip" and data:
            data[place] ^= draw(st.integers(1, 255))
        elif how == "cut":
            del data[place:]
        elif how == "insert":
            data[place:place] = draw(st.binary(min_size=1, max_size=8))
        elif how == "remove":
            del data[place : place + draw(st.integers(1, 64))]
        else:
            data[place:place] = data[max(place - 64, 0) : place]
    return bytes(data)


@st.composite
def yaml(draw) -> bytes:
    """params.yaml with lines changed, taken out, doubled, moved or indented otherwise, and now and then bytes changed."""
    lines = list(LINES)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(lines) - 1))
        how = draw(st.sampled_from(["value", "value", "value", "drop", "double", "indent", "swap"]))
        if how == "value":
            lines[place] = lines[place].split(":")[0] + ": " + draw(st.sampled_from(VALUES) | st.text(max_size=6))
        elif how == "drop":
            del lines[place]
        elif how == "double":
            lines.insert(place, lines[place])
        elif how == "indent":
            lines[place] = " " * draw(st.integers(0, 5)) + lines[place].lstrip()
        else:
            other = draw(st.integers(0, len(lines) - 1))
            lines[place], lines[other] = lines[other], lines[place]
    text = "\n".join(lines).encode("utf-8", "surrogatepass")
    return draw(damaged(text)) if draw(st.booleans()) and draw(st.booleans()) else text


@AT_DOORS
@given(content=yaml())
def test_parameters(content, tmp_path_factory):
    file = tmp_path_factory.getbasetemp() / "params.yaml"
    file.write_bytes(content)
    with Timed():
        try:
            experiment = validate(file)
        except PenumbraError as error:
            told(error, "params.yaml")
            return
    assert Experiment.model_validate(experiment.model_dump()) == experiment  # every value is of its type and in its range
    with Timed():
        outside.digests({"prepare": experiment.prepare.model_dump(), "pretrain": experiment.pretrain.model_dump()})


@pytest.mark.parametrize("name", ["three\\r", "three\\n", " three", "three\\t", "thr\\0ee"])
def test_a_class_has_a_name_that_a_line_can_hold(tmp_path, name):
    (tmp_path / "params.yaml").write_text(PARAMS.replace("classes: ['0', '1', '2'", f"classes: [\"{name}\", '1', '2'"))
    with pytest.raises(PenumbraError, match="prepare.id.classes.* must be one line of printable text"):
        validate(tmp_path / "params.yaml")


def pictures() -> list[bytes]:
    """A small image in each of several formats."""
    found, pixels = [], np.random.default_rng(0).integers(0, 256, (12, 10, 3), dtype=np.uint8)
    for format in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"):
        Image.fromarray(pixels).save(buffer := io.BytesIO(), format)
        found.append(buffer.getvalue())
    Image.fromarray(pixels[..., 0].astype(np.uint16) * 257).save(buffer := io.BytesIO(), "PNG")
    return [*found, buffer.getvalue()]


PICTURES = pictures()


@AT_DOORS
@given(content=st.sampled_from(PICTURES).flatmap(damaged))
@pytest.mark.filterwarnings("ignore")
def test_images(content, tmp_path_factory):
    file = tmp_path_factory.getbasetemp() / "picture"
    file.write_bytes(content)
    with Timed():
        found = load_pixels(Record("picture", "x", lambda: read_file(file)), 8)
    if isinstance(found, Unusable):
        assert str(found) and len(str(found)) < 1000
    else:
        assert found.shape == (8, 8, 3) and found.dtype == np.uint8


LIST = b"".join(b"%b/%d.png %d\n" % (name, index, label) for label, name in enumerate((b"cat", b"dog")) for index in range(6))
ODD = st.sampled_from(
    [b"\t", b"\r", b"\0", b"\xff", b"\xef\xbb\xbf", b"-1", b"{}", b", ", b"  ", b"\xe2\x80\xa8", b"1e3", b"\xd9\xa3", b"../"]
)


@st.composite
def listing(draw) -> bytes:
    content = draw(damaged(LIST)) if draw(st.booleans()) else LIST
    place = draw(st.integers(0, len(content)))
    return content[:place] + draw(ODD) + content[place:]


@AT_DOORS
@given(content=listing(), classes=st.sampled_from([None, ["cat", "dog"]]))
def test_image_lists(content, classes, tmp_path_factory):
    from penumbra.workflow.ready import _read, _reason

    file = tmp_path_factory.getbasetemp() / "list.txt"
    file.write_bytes(content)
    section = OodSource(source="imglist", path=str(file), root=None, classes=classes, limit=None)
    with Timed():
        try:
            found = list(read_source(section, "far.test", 0))
        except (PenumbraError, UnicodeDecodeError, OSError) as error:
            told(error if isinstance(error, PenumbraError) else PenumbraError(_reason(str(file), error)), "list.txt")
        else:
            assert len({record.source_id for record in found}) == len(found)
            for record in found:
                assert record.fault or record.class_name in (classes or [None, *map(str, range(10**4))]), record
            outside.digests({"source": "imglist", "path": str(file), "root": None})
        try:
            _read(section, "far.test", 0.0)
        except (UnicodeDecodeError, OSError):
            pass  # `_reason` has been asked
        except PenumbraError as error:
            told(error, "prepare.far.test", "list.txt")


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory) -> dict[str, bytes]:
    """A file of features, and one of images."""
    import pyarrow as pa
    import torch

    from penumbra.artifacts.images import ImageWriter, encode

    folder = tmp_path_factory.mktemp("artifacts")
    write_tensors(folder / "x.safetensors", {"a": torch.arange(12.0).reshape(3, 4), "b": torch.zeros(5)}, {"rows": ["x", "y"]})
    with ImageWriter(folder / "x.parquet", {"sample_id": pa.string(), "label": pa.int64()}, {"classes": ["x"]}) as writer:
        for index in range(4):
            writer.add(encode(np.full((6, 6, 3), index, np.uint8)), None, sample_id=f"train/{index}", label=index)
    return {file.suffix: file.read_bytes() for file in folder.iterdir()}


@AT_DOORS
@given(data=st.data())
def test_tensors(data, artifacts, tmp_path_factory):
    file = tmp_path_factory.getbasetemp() / "x.safetensors"
    file.write_bytes(data.draw(damaged(artifacts[".safetensors"])))
    with Timed():
        try:
            read_tensors(file)
        except PenumbraError as error:
            told(error, "x.safetensors")
        except Exception as error:  # what `penumbra STEP` makes of it
            assert damage.of_reader(error) and damage.fault(file) is not None


@AT_DOORS
@given(data=st.data())
def test_tables_of_images(data, artifacts, tmp_path_factory):
    file = tmp_path_factory.getbasetemp() / "x.parquet"
    file.write_bytes(data.draw(damaged(artifacts[".parquet"])))
    with Timed():
        try:
            read_table(file), read_provenance(file), read_pixels(file)
        except PenumbraError as error:
            told(error, "x.parquet")
        except Exception as error:
            assert damage.of_reader(error) and damage.fault(file) is not None


def test_a_step_that_fails_names_the_file_that_is_damaged(tmp_path, artifacts):
    (tmp_path / "models").mkdir()
    (tmp_path / "models/config.json").write_text('{"a": 1')
    (tmp_path / "x.parquet").write_bytes(artifacts[".parquet"])
    assert damage.among([tmp_path / "x.parquet"]) is None
    line = damage.among([tmp_path / "x.parquet", tmp_path / "models"])
    assert line.startswith(f"{tmp_path}/models/config.json: is damaged (") and "penumbra doctor --verify" in line and "\n" not in line


def test_the_committed_parameters_pass(tmp_path):
    assert load(ROOT / "params.yaml") and validate(ROOT / "params.yaml")
