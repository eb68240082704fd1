"""Images in any mode become RGB squares; what cannot be decoded gets a reason."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from penumbra.prepare.pixels import load_pixels, read_file, to_rgb, to_square
from penumbra.prepare.record import Record, Unusable

ORANGE = (255, 128, 0)


def load(path: Path, size: int = 8) -> np.ndarray | Unusable:
    return load_pixels(Record("x", None, lambda: read_file(path)), size)


def saved(tmp_path: Path, image: Image.Image, suffix: str = ".png", **options) -> Path:
    image.save(tmp_path / f"image{suffix}", **options)
    return tmp_path / f"image{suffix}"


@pytest.mark.parametrize(
    ("mode", "suffix", "tolerance"),
    [
        ("RGB", ".png", 0),
        ("RGBA", ".png", 0),
        ("P", ".gif", 0),
        ("P", ".png", 0),
        ("CMYK", ".tiff", 1),
        ("CMYK", ".jpg", 6),
        ("YCbCr", ".jpg", 6),
    ],
)
def test_colour_survives_every_mode(tmp_path: Path, mode: str, suffix: str, tolerance: int):
    pixels = load(saved(tmp_path, Image.new("RGB", (16, 12), ORANGE).convert(mode, palette=Image.Palette.ADAPTIVE), suffix))
    assert pixels.shape == (8, 8, 3) and pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - ORANGE).max() <= tolerance


@pytest.mark.parametrize(
    ("mode", "value", "grey"), [("L", 77, 77), ("1", 1, 255), ("I;16", 65535, 255), ("I;16", 23130, 90), ("LA", (7, 255), 7)]
)
def test_grey_becomes_equal_channels(tmp_path: Path, mode: str, value: int, grey: int):
    assert (load(saved(tmp_path, Image.new(mode, (10, 10), value))) == grey).all()


def test_sixteen_bit_rgb_keeps_its_high_bytes(tmp_path: Path):
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + struct.pack(">HHH", 0xFF00, 0x8000, 0x0100) * 4) * 4
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 16, 2, 0, 0, 0))
    (tmp_path / "deep.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
    assert np.abs(load(tmp_path / "deep.png").astype(int) - (255, 128, 1)).max() <= 1


def test_transparency_is_composited_on_black(tmp_path: Path):
    assert (load(saved(tmp_path, Image.new("RGBA", (9, 9), (200, 100, 50, 0)))) == 0).all()
    half = load(saved(tmp_path, Image.new("RGBA", (9, 9), (200, 100, 50, 128))))
    assert np.abs(half.astype(int) - (100, 50, 25)).max() <= 1
    palette = Image.new("P", (9, 9), 3)
    palette.putpalette([255] * 768)
    assert (load(saved(tmp_path, palette, transparency=3)) == 0).all()


def test_exif_rotation_is_applied(tmp_path: Path):
    image = Image.new("RGB", (8, 8))
    image.paste((255, 255, 255), (0, 0, 8, 4))  # white above
    exif = Image.Exif()
    exif[0x0112] = 6  # stored so that it must be turned 90 degrees clockwise
    pixels = load(saved(tmp_path, image, exif=exif))
    assert pixels[:, 5:].min() > 200 and pixels[:, :3].max() < 50


@pytest.mark.parametrize("mode", ["I", "F"])
def test_pixels_without_an_agreed_white_are_refused(mode: str):
    with pytest.raises(Unusable, match="no agreed white"):
        to_rgb(Image.new(mode, (4, 4), 70_000))


@given(st.integers(1, 200), st.integers(1, 200))
@settings(max_examples=40)
def test_square_is_the_centre_of_the_image(width: int, height: int):
    ramp = np.add.outer(np.linspace(0, 120, height), np.linspace(0, 120, width)).astype(np.uint8)
    square = np.asarray(to_square(Image.fromarray(ramp), 16)).astype(float)
    assert square.shape == (16, 16)
    assert abs(square.mean() - ramp.mean()) < 2  # the mean of a ramp is its centre's value


def test_square_equals_resized_shorter_side_then_cropped():
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 128, 3), dtype=np.uint8))
    expected = np.asarray(image.resize((64, 32), Image.Resampling.BICUBIC).crop((16, 0, 48, 32))).astype(int)
    assert np.abs(np.asarray(to_square(image, 32)).astype(int) - expected)[:, 2:-2].max() <= 1


def test_long_strip_costs_no_memory():
    assert to_square(Image.new("L", (1, 60_000)), 32).size == (32, 32)


def png(size: tuple[int, int] = (40, 40)) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b"these are words", "not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
        (png()[:-2000], "truncated"),
        (png()[:60], "unreadable|not an image"),
        (png().replace(b"IDAT", b"IDAX"), "unreadable|not an image"),
    ],
)
def test_damaged_files_get_a_reason(tmp_path: Path, content: bytes, reason: str):
    (tmp_path / "bad.png").write_bytes(content)
    outcome = load(tmp_path / "bad.png")
    assert isinstance(outcome, Unusable)
    assert any(word in str(outcome) for word in reason.split("|")), outcome


@given(st.data())
@settings(max_examples=60)
def test_flipped_bytes_never_escape_as_an_exception(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject):
    content = bytearray(png((12, 12)))
    for position in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=8)):
        content[position] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.mktemp("flip") / "image.png"
    path.write_bytes(content)
    outcome = load(path)
    assert isinstance(outcome, Unusable) or outcome.shape == (8, 8, 3)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_decompression_bomb_is_refused_before_it_is_decoded(tmp_path: Path):
    for side in (10_000, 60_000):  # where Pillow warns, and where it refuses
        header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
        chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
        (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + b"\0\0\0\0IDAT")
        outcome = load(tmp_path / "bomb.png")
        assert isinstance(outcome, Unusable) and "absurd size" in str(outcome)


def test_missing_file_folder_and_device_are_reasons(tmp_path: Path):
    for path in (tmp_path / "nowhere.png", tmp_path, Path("/dev/null")):
        assert str(load(path)) == "missing file"


def test_truncated_images_are_never_completed():
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False
    sources = Path(read_file.__code__.co_filename).parents[1].rglob("*.py")
    assert not [path for path in sources if "LOAD_TRUNCATED_IMAGES" in path.read_text()]
