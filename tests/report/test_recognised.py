"""Single candidates by type: which are shown, how many there are, and what stands below each."""

import io

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from PIL import Image
from safetensors.numpy import load_file

from penumbra.report import recognised
from penumbra.report.methods import clip
from synthetic_results import METHODS, NAMES, benchmarked, report_stage

WORDS = [*NAMES, *(f"letter {c}" for c in "CDFGJLNP")]


@pytest.fixture(scope="module")
def stage(results_data, tmp_path_factory):
    return report_stage(results_data, benchmarked(results_data), tmp_path_factory.mktemp("recognised"))


@pytest.fixture(scope="module")
def found(stage):
    return recognised.recognised(stage)


def cosines(data, method):
    """Of each candidate, by sample_id: cosine to every text, by its own computation."""
    texts = load_file(data / "features/negatives.safetensors")
    texts = np.concatenate([texts["id"], texts["negative"]])
    features = load_file(data / f"features/candidates/{method}.safetensors")["features"]
    lengths = np.linalg.norm(features, axis=1)[:, None] * np.linalg.norm(texts, axis=1)
    return pd.read_parquet(data / f"outliers/{method}.parquet", columns=["image", "label"]), features @ texts.T / lengths


def test_as_many_are_of_a_type_as_in_the_table(found, results_data):
    table = pd.read_csv(benchmarked(results_data) / "tables/types.csv").set_index(["method", "band"])
    assert list(found) == list(METHODS)
    for method, kinds in found.items():
        assert {kind: each.count for kind, each in kinds.items()} == table.loc[(method, "all"), list(clip.TYPES)].to_dict(), method


def test_the_shown_lie_evenly_between_the_nearest_and_the_farthest(found, results_data):
    rows, similarity = cosines(results_data, "badood")
    place, cosine = similarity.argmax(1), similarity.max(1)
    other = found["badood"]["other"]
    assert len(other.shown) == 3 < other.count
    images = {row["bytes"]: number for number, row in enumerate(rows["image"])}
    numbers = [images[each.image] for each in other.shown]
    assert [each.seen_as for each in other.shown] == [WORDS[place[number]] for number in numbers]
    assert [each.made_of for each in other.shown] == [NAMES[rows["label"][number]] for number in numbers]
    assert all(each.seen_as != each.made_of for each in other.shown) and {WORDS[p] for p in place} - set(NAMES)
    nothing = [cosine[images[each.image]] for each in found["badood"]["nothing"].shown]
    recognised_ones = [cosine[images[each.image]] for kind in ("own", "other") for each in found["badood"][kind].shown]
    assert nothing == sorted(nothing, reverse=True) and max(nothing) < min(recognised_ones)
    of_own = np.sort(cosine[(place == rows["label"]) & (cosine >= min(recognised_ones))])
    shown = [cosine[images[each.image]] for each in found["badood"]["own"].shown]
    assert (shown[0], shown[-1]) == (of_own[-1], of_own[0])


def test_each_stands_in_the_colour_of_its_type_above_what_it_was_made_from_and_seen_as(found, drawn):
    recognised.figure(found, clip.TYPES, clip.COLOURS)
    (ax,) = drawn["axes"]
    assert [label.get_text().replace("\n", "") for label in ax.get_yticklabels()] == list(METHODS)
    frames = [(patch.get_edgecolor(), patch.get_xy()) for patch in ax.patches]
    shown = sum(len(kind.shown) for kinds in found.values() for kind in kinds.values())
    assert len(frames) == len(ax.images) == shown
    texts = [text.get_text() for text in ax.texts]
    for kind, label in clip.TYPES.items():
        assert label in texts
        each = found["badood"][kind].shown[0]
        below = each.made_of if kind == "own" else f"{each.made_of}\n\N{RIGHTWARDS ARROW}\N{NO-BREAK SPACE}{each.seen_as}"
        assert below in texts
        block = list(clip.TYPES).index(kind) * (3 * recognised.PITCH + recognised.APART)
        inside = {round(x - block, 6) for colour, (x, _) in frames if to_hex(colour) == clip.COLOURS[kind]}
        assert inside == {round(column * recognised.PITCH, 6) for column in range(3)}


def test_a_name_that_is_too_long_is_cut_and_none_is_without_its_class(drawn):
    buffer = io.BytesIO()
    Image.new("L", (8, 8), 90).save(buffer, "png")
    shown = [recognised.Candidate(buffer.getvalue(), "", "black-footed ferret of the northern plains")]
    kinds = {"own": recognised.Kind(0, []), "other": recognised.Kind(1, shown), "nothing": recognised.Kind(0, [])}
    recognised.figure({"real": kinds}, clip.TYPES, clip.COLOURS)
    (ax,) = drawn["axes"]
    (below,) = [text.get_text() for text in ax.texts if text.get_text().startswith("\N{RIGHTWARDS ARROW}")]
    assert below.count("\n") == recognised.LINES - 1 and below.endswith("\N{HORIZONTAL ELLIPSIS}")
    assert max(map(len, below.split("\n"))) <= recognised.LETTERS
    pixels = ax.images[0].get_array()
    assert (pixels == 90).all() and "0 of 1" in [text.get_text() for text in ax.texts]


def test_where_there_are_no_types_there_is_no_figure(stage):
    assert clip.figures(stage, {"types": pd.DataFrame(), "diversity": pd.DataFrame()}, {}, {}) == {}


def test_of_many_methods_the_first_are_shown(stage, found, monkeypatch):
    monkeypatch.setattr(recognised, "SHOWN", 2)
    assert recognised.recognised(stage) == {method: found[method] for method in METHODS[:2]}
