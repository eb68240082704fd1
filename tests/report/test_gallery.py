"""Galleries: which candidates are shown, what stands beside each, and where it stands in the figure."""

import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from penumbra.report import gallery, style
from penumbra.report.methods import badood, good, sona, synood

METHODS = {"badood": badood, "good": good, "sona": sona, "synood": synood}


@pytest.fixture
def shown(results_data):
    """The gallery of a method, of `count` candidates; without a selection P(OOD) grows with the place in the file, all in one band."""

    def make(method: str, count: int) -> gallery.Gallery:
        candidates = pd.read_parquet(results_data / f"outliers/{method}.parquet").drop(columns="image")
        path = results_data / f"selections/{method}.parquet"
        made_up = {"confidence": np.linspace(0, 1, len(candidates)), "band": "mid", "accepted": False}
        selection = pd.read_parquet(path) if path.exists() else candidates[["sample_id"]].assign(**made_up)
        known = candidates[["sample_id", "source_id", "label"]].assign(far=METHODS[method].far(candidates))
        return gallery.gallery(selection, known, results_data / f"outliers/{method}.parquet", results_data / "images/train.parquet", count)

    return make


def test_each_band_has_as_many_candidates_from_its_least_to_its_most_severe():
    confidence = [((i * 37) % 100) / 100 for i in range(100)]
    selection = pd.DataFrame({"sample_id": [f"{i}" for i in range(100)], "confidence": confidence})
    selection["band"] = np.array(["low", "mid", "high"])[np.searchsorted([0.3, 0.5], confidence, side="right")]
    chosen = gallery.choose(selection, 9)
    assert chosen.band.tolist() == ["low"] * 3 + ["mid"] * 3 + ["high"] * 3
    assert chosen.confidence.tolist() == [0.0, 0.14, 0.29, 0.3, 0.4, 0.49, 0.5, 0.74, 0.99]
    assert len(gallery.choose(selection, 500)) == 100 and len(gallery.choose(selection[selection.band != "mid"], 2)) == 2


def test_a_candidate_stands_with_its_source_class_judges_and_how_far_it_was_led(shown, results_data):
    found = shown("badood", 6)
    selection = pd.read_parquet(results_data / "selections/badood.parquet").set_index("sample_id")
    assert [panel.band for panel in found.panels] == ["low", "low", "mid", "mid", "high", "high"]
    for panel in found.panels:
        row = selection.loc[panel.name]
        assert (panel.band, panel.confidence) == (row.band, row.confidence)
        assert panel.agreed == f"{int(row.band_0 == row.band) + int(row.band_1 == row.band)} of 2"
        place = int(panel.name.removeprefix("badood/")[:6])
        assert panel.made_of == ("zero", "one", "two", "three", "four", "five")[place % 6] and panel.far.startswith("scale 0.")
        assert Image.open(io.BytesIO(panel.source)).size == Image.open(io.BytesIO(panel.outlier)).size == (32, 32)
    assert found.size("mid") == f"{(selection.band == 'mid').sum()} of 180" and found.accepted == selection.accepted.mean()


@pytest.mark.parametrize(
    ("method", "far"),
    [("good", "image rho\N{NO-BREAK SPACE}0.1 mu"), ("sona", "letter C, 1\N{NO-BREAK SPACE}steps"), ("synood", "energy -")],
)
def test_each_method_says_how_far_it_led_a_candidate(results_data, method, far):
    candidates = pd.read_parquet(results_data / f"outliers/{method}.parquet")
    said = METHODS[method].far(candidates)
    assert said[0].startswith(far) and len(said) == len(candidates)


def test_samples_from_noise_stand_alone_by_the_class_that_was_asked_for(shown, drawn):
    found = shown("good", 9)
    assert len(found.panels) == 3 and all(panel.source is None and panel.agreed == "" for panel in found.panels)
    assert {panel.made_of for panel in found.panels} <= {f"class {label}" for label in range(6)}
    gallery.figure(found)
    (ax,) = drawn["axes"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["class", "candidate", "P(OOD)", "how far"]
    assert len(ax.images) == 3


def test_the_figure_has_a_row_of_candidates_framed_in_the_colours_of_their_bands(shown, drawn):
    found = shown("sona", 24)
    gallery.figure(found)
    (ax,) = drawn["axes"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["class", "source", "candidate", "P(OOD)", "judges", "how far"]
    frames = [patch for patch in ax.patches if patch.get_linewidth() > 1]
    colours = [matplotlib_hex(patch.get_edgecolor()) for patch in frames]
    assert colours == [style.BANDS[band] for band in style.BANDS for _ in range(gallery.ACROSS)]
    corners = [patch.get_xy() for patch in frames]
    assert corners == sorted(corners) and len({y for _, y in corners}) == 1
    texts = [text.get_text() for text in ax.texts]
    assert f"mid band: {found.size('mid')}" in texts and f"{found.of('low')[0].confidence:.2f}" in texts
    extents = {tuple(image.get_extent()[::3]) for image in ax.images}
    assert {(x, y) for x, y in corners} <= extents


def test_what_belongs_together_stays_on_one_line(shown, drawn):
    """A number is never cut."""
    found = shown("synood", 9)
    gallery.figure(
        replace(found, panels=[replace(panel, far="energy -13.8\N{NO-BREAK SPACE}to\N{NO-BREAK SPACE}-9.5") for panel in found.panels])
    )
    (ax,) = drawn["axes"]
    assert "energy\n-13.8\N{NO-BREAK SPACE}to\N{NO-BREAK SPACE}-9.5" in [text.get_text() for text in ax.texts]


def matplotlib_hex(colour: tuple) -> str:
    return "#" + "".join(f"{round(255 * part):02x}" for part in colour[:3])
