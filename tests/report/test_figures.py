"""Figures of numbers: which panel is of what, and where bars and panels end."""

import base64
import io
import urllib.parse
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from penumbra.artifacts.images import encode
from penumbra.report import figures, style, unified, uris
from penumbra.report.methods import clip


def test_a_panel_is_of_the_score_that_its_detector_is_judged_by(drawn):
    shared = {"group": "id", "density": [1.0, 2.0]}
    plot = pd.concat(
        [
            pd.DataFrame(shared | {"detector": "none", "energy": [-9.0, -8.0]}),
            pd.DataFrame(shared | {"detector": "clip", "neglabel": [0.1, 0.9]}),
        ]
    )
    figures.headline(plot)
    assert [ax.get_xlabel().split(",")[0] for ax in drawn["axes"]] == ["energy", "neglabel"]
    assert drawn["axes"][1].get_xlim()[1] < 2 and drawn["axes"][0].get_xlim()[1] < 0


@pytest.mark.parametrize(("auroc", "texts"), [(0.06, ["↓", "6"]), (0.91, [])])
def test_what_falls_far_below_the_rest_of_a_panel_is_a_number_at_its_edge(drawn, auroc, texts):
    """And what the panel reaches is not."""
    keys = {"detector": "good-all", "a": 0.5, "k": 50.0, "weight_mean": 0.5}
    rows = [keys | {"mode": "energy", "a": np.nan, "k": np.nan, "auroc_mean": 0.92}]
    rows += [keys | {"mode": "per-set", "k": k, "auroc_mean": mean} for k, mean in ((50.0, 0.95), (10.0, 0.96), (200.0, auroc))]
    rows += [keys | {"mode": "knn", "a": np.nan, "k": k, "auroc_mean": mean} for k, mean in ((50.0, 0.94), (10.0, 0.96))]
    unified.curves(pd.DataFrame([row | {"set": group} for group in ("near", "far") for row in rows]))
    along_k = drawn["axes"][1]
    assert [text.get_text() for text in along_k.texts] == texts
    low, high = along_k.get_ylim()
    assert 50 < low < 91 and high > 96


def test_each_detector_has_a_panel_with_the_first_one_beside_it(drawn):
    rows = [
        (name, group, fpr, level) for level, name in enumerate(("none", "good-all"), 1) for group in ("near", "far") for fpr in (0.1, 1)
    ]
    figures.roc(
        pd.DataFrame([(name, group, fpr, 0.1 * level) for name, group, fpr, level in rows], columns=["detector", "group", "fpr", "tpr"])
    )
    first, second = drawn["axes"]
    assert (first.get_title(), second.get_title()) == ("none", "good-all")
    lines = [{line.get_label(): line.get_ydata()[0] for line in ax.lines if line.get_label()[0] != "_"} for ax in (first, second)]
    assert lines[0] == {"near OOD": 10, "far OOD": 10}
    assert lines[1] == {"near OOD, none": 10, "near OOD": 20, "far OOD, none": 10, "far OOD": 20}
    shifted = pd.DataFrame([(name, "blur", strength, 0.1 * strength) for name in ("none", "clip") for strength in range(9)])
    figures.shift(shifted.set_axis(["detector", "kind", "strength", "confidence_mean"], axis=1))
    assert [[line.get_label() for line in ax.lines] for ax in drawn["axes"]] == [["blur"], ["blur, none", "blur"]]


def test_error_bars_end_where_percentages_do(drawn):
    moments = {f"{group}_{metric}": value for group in ("near", "far") for metric, value in (("fpr95_id_tpr", 0.1), ("auroc", 0.98))}
    columns = {f"{name}_mean": [value] for name, value in moments.items()} | {f"{name}_std": [0.2] for name in moments}
    figures.bands(pd.DataFrame({"detector": ["none"]} | columns))
    ends = [ax.containers[0].lines[2][0].get_segments()[0][:, 0] for ax in drawn["axes"]]
    np.testing.assert_allclose(ends, [[0, 30], [78, 100]])


def test_pdfs_of_equal_figures_are_equal_and_say_nothing_of_machine_or_time(monkeypatch, pdf):
    """A picture keeps its own 2 x 3 pixels, letters are TrueType, which can be searched and which publishers take."""
    monkeypatch.setattr(style, "pdf", pdf)
    made = []
    for _ in range(2):
        with style.figure(1, 2, 1.5) as (figure, axes):
            axes[0].imshow(np.arange(18, dtype=np.uint8).reshape(2, 3, 3), interpolation="nearest")
            axes[1].plot([1, 2], label="near")
            axes[1].legend()
            made.append(style.files(figure))
    first, second = made
    assert first == second and first.pdf.startswith(b"%PDF")
    assert b"/FontFile2" in first.pdf and b"/Width 3" in first.pdf and bytes(range(9)) in first.pdf
    assert not [word for word in (b"Date", b"FlateDecode", b"/Type3") if word in first.pdf]


def test_a_picture_is_declared_as_what_it_is():
    assert uris.picture(b"\xff\xd8\xff\xe0").startswith("data:image/jpeg;")
    assert uris.picture(encode(np.zeros((2, 2, 3), np.uint8))).startswith("data:image/png;")


@pytest.mark.parametrize(("shape", "mode"), [((9, 9, 1), "L"), ((9, 9, 3), "RGB"), ((9, 9, 4), "RGBA")])
def test_a_smaller_png_has_the_same_pixels(shape, mode):
    """Grey ones in grey, colours in colours, transparent ones as they were."""
    drawn = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
    pixels = np.repeat(drawn, 3, axis=2) if mode == "L" else drawn
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert("RGBA").save(buffer, "png")
    small = Image.open(io.BytesIO(uris.lean(buffer.getvalue())))
    assert small.mode == mode
    np.testing.assert_array_equal(np.asarray(small.convert("RGBA")), np.asarray(Image.fromarray(pixels).convert("RGBA")))


def test_a_drawing_in_an_attribute_is_what_it_was():
    """Also what means something to HTML, to an address or to the quotes around it."""
    svg = "<svg a=\"1\" b='#2'>\n<!-- 5% &amp; − &lt;img src=x&gt; --></svg>"
    (found,) = (dict(attrs) for tag, attrs in started(f"<img src='{uris.drawing(svg.encode())}' alt=\"x\">") if tag == "img")
    assert urllib.parse.unquote(found["src"]) == f"data:image/svg+xml,{svg}".replace("\n", " ") and found["alt"] == "x"


def started(text: str) -> list:
    """Tags and their attributes, as HTML is read."""
    parser, found = HTMLParser(), []
    parser.handle_starttag = lambda tag, attrs: found.append((tag, attrs))
    parser.feed(text)
    return found


def test_a_picture_in_a_figure_keeps_its_own_pixels_and_sharp_edges():
    """However large it is shown."""
    pixels = np.random.default_rng(0).integers(0, 255, (6, 5, 3)).astype(np.uint8)
    with style.figure(1, 1, 2.0) as (figure, axes):
        axes[0].imshow(pixels)
        svg = style.files(figure).svg
    (image,) = ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}image")
    stored = Image.open(io.BytesIO(base64.b64decode(image.get("{http://www.w3.org/1999/xlink}href").partition(",")[2])))
    np.testing.assert_array_equal(np.asarray(stored), pixels)
    assert "pixelated" in image.get("style")


def test_coordinates_are_shortened_and_nothing_else():
    drawing = b"""<g id="a 1.23456">
 <path d="M 0.001 -0.001
L 518.456789 7.5
z
" style="stroke-width: 0.81234"/>
 <use x="1.239" y="-12.345678" transform="translate(35.208053 91.504719) scale(0.015625 -0.065)"/>
</g>"""
    short = style.compact(drawing).decode()
    assert short == (
        '<g id="a 1.23456"><path d="M0 0L518.46 7.5z" style="stroke-width: 0.81234"/>'
        '<use x="1.24" y="-12.35" transform="translate(35.21 91.5) scale(0.015625 -0.065)"/></g>'
    )


def test_bars_before_and_after_filtering_reach_from_one_end_to_the_other(drawn):
    rows = [(method, band) for method in ("badood", "sona") for band in ("all", "low", "mid")]
    table = pd.DataFrame(rows, columns=["method", "band"])
    for name, share in zip(("own", "other", "nothing"), (0.5, 0.2, 0.3), strict=True):
        table[f"{name}_share"] = share
    clip.types(table, table[["method", "band"]].assign(across=0.9, within=0.5))
    bars = drawn["axes"][0]
    assert [label.get_text() for label in bars.get_yticklabels()] == ["badood", "badood, mid", "sona", "sona, mid"]
    widths = np.array([bar.get_width() for bar in bars.patches]).reshape(3, 4)
    np.testing.assert_allclose(widths.sum(axis=0), 100)
    np.testing.assert_allclose(bars.patches[-1].get_x(), 70)
    (legend,) = bars.figure.legends
    assert [text.get_text() for text in legend.get_texts()][-3:] == ["nothing (III)", "all candidates", "mid band"]
