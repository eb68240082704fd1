"""MCM and NegLabel against loops over their definitions; score of CLIP detectors on files of features."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from clip_features import COUNTS, LOGIT_SCALE, label_features, write_clip_features
from penumbra import scores
from penumbra.artifacts.features import read_features, write_features
from penumbra.artifacts.images import read_table
from penumbra.calibrators import fit
from penumbra.errors import PenumbraError
from penumbra.models.clip_detector import ClipDetector
from penumbra.score import clip
from penumbra.score.params import Score
from penumbra.stage import Params, Stage


def features_of(count, width=6, seed=0):
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def loop_neglabel(features, texts, negatives, order, temperature):
    """One minus the ID labels' share of a softmax, image by image and group by group, in float64."""
    unit = lambda rows: [row / np.linalg.norm(row) for row in rows.double().numpy()]  # noqa: E731
    texts, negatives, result = unit(texts), unit(negatives), []
    for image in unit(features):
        shares = []
        for group in order.tolist():
            id_part = sum(np.exp(image @ text / temperature) for text in texts)
            shares.append(1 - id_part / (id_part + sum(np.exp(image @ negatives[row] / temperature) for row in group)))
        result.append(np.mean(shares))
    return np.array(result)


def test_mcm_is_the_negative_log_of_the_highest_softmax_of_cosines():
    cosines = torch.rand(20, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2 - 1
    probability = np.exp(cosines.numpy() / 0.3) / np.exp(cosines.numpy() / 0.3).sum(1, keepdims=True)
    np.testing.assert_allclose(scores.mcm(cosines, 0.3), -np.log(probability.max(1)), rtol=1e-12)


@pytest.mark.parametrize("block", [2**22, 40, 1])
def test_the_grouped_score_is_a_loop_over_images_and_groups(monkeypatch, block):
    monkeypatch.setattr(scores, "LOGITS_BLOCK", block)
    features, texts, negatives = features_of(7), features_of(3, seed=1), features_of(13, seed=2)
    order = scores.grouped(13, 4, torch.Generator().manual_seed(0))
    expected = loop_neglabel(features, texts, negatives, order, 0.2)
    np.testing.assert_allclose(scores.neglabel(features, texts, negatives, order, 0.2), expected, rtol=1e-5)


def test_log_odds_are_those_of_the_score():
    features, texts, negatives = features_of(7), features_of(3, seed=1), features_of(12, seed=2)
    order = scores.grouped(12, 4, torch.Generator().manual_seed(0))
    expected = loop_neglabel(features, texts, negatives, order, 0.2)
    np.testing.assert_allclose(
        scores.neglabel_log_odds(features, texts, negatives, order, 0.2), np.log(expected / (1 - expected)), rtol=1e-4
    )


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.05, 1), st.floats(0.01, 1000), st.integers(1, 6))
def test_it_lies_between_0_and_1_and_lengths_do_not_matter(seed, temperature, length, groups):
    features, texts, negatives = features_of(4, seed=seed), features_of(3, seed=seed + 1), features_of(13, seed=seed + 2)
    order = scores.grouped(13, groups, torch.Generator().manual_seed(seed))
    score = scores.neglabel(features, texts, negatives, order, temperature)
    assert ((score > 0) & (score < 1)).all()
    longer = scores.neglabel(features * length, texts, negatives * length, order, temperature)
    torch.testing.assert_close(longer, score, rtol=1e-3, atol=1e-12)


def test_it_does_not_depend_on_who_else_is_in_the_batch():
    features, texts, negatives = features_of(50), features_of(3, seed=1), features_of(12, seed=2)
    order = scores.grouped(12, 3, torch.Generator().manual_seed(0))
    together = scores.neglabel(features, texts, negatives, order, 0.1)
    alone = torch.cat([scores.neglabel(row, texts, negatives, order, 0.1) for row in features.flip(0).split(1)]).flip(0)
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=0)
    assert scores.neglabel(features[:0], texts, negatives, order, 0.1).shape == (0,)


def test_low_temperatures_neither_overflow_nor_tie():
    """Differences of the sums' logarithms are about 300 there: exp overflows float32, and 1 - share is 0 even in float64."""
    negatives = torch.eye(4)
    features = torch.tensor([[1.0, -0.9], [1.0, -1.0], [-1.0, 1.0], [-0.9, 1.0]])
    features = torch.cat([features, torch.zeros(4, 2)], dim=1)
    order = torch.tensor([[0]])
    odds = scores.neglabel_log_odds(features, negatives[1:2], negatives[:1], order, 0.005)
    cosine = torch.nn.functional.normalize(features, dim=1)
    torch.testing.assert_close(odds, ((cosine[:, 0] - cosine[:, 1]) / 0.005).double(), rtol=1e-5, atol=0)
    assert odds.unique().numel() == 4 and odds[1].item() > 250 and odds[2].item() < -250
    share = scores.neglabel(features, negatives[1:2], negatives[:1], order, 0.0005)
    assert ((share > 0) & (share < 1)).all()  # where float64 would end, too


def test_the_last_labels_are_dropped_before_the_others_are_permuted():
    order = scores.grouped(17, 5, torch.Generator().manual_seed(3))
    assert order.shape == (5, 3)
    assert sorted(order.flatten().tolist()) == list(range(15))
    assert order.flatten().tolist() != list(range(15))


def test_fewer_negative_labels_than_groups_are_refused():
    assert scores.grouped(4, 4, torch.Generator()).shape == (4, 1)
    with pytest.raises(PenumbraError, match="3 negative labels are too few for 4 groups"):
        scores.grouped(3, 4, torch.Generator())


def detector(seed=0, project=True):
    settings = {"temperature": None, "mcm_temperature": 1.0, "project": project, "residual": True}
    torch.manual_seed(seed)
    return ClipDetector.zero_shot(label_features(), scores.grouped(17, 4, torch.Generator().manual_seed(seed)), **settings)


@pytest.fixture
def stage(tmp_path):
    reads = write_clip_features(tmp_path)
    for seed in (1, 0):
        detector(seed).save_pretrained(tmp_path / f"detectors/clip-synood/seed-{seed}")
    names = [name for name in reads if name.startswith("images/")]
    reads = {name: reads[name] for name in (*names, "features/clip")} | {"detectors/clip-synood": tmp_path / "detectors/clip-synood"}
    params = Params({"score": Score(knn_k=3, knn_more=[12, 1], calibrator="platt")})
    return Stage("score", "clip-synood", params, {}, reads, {"scores/clip": tmp_path / "scores/clip.parquet"}, tmp_path / "scratch")


def test_rows_and_columns_are_those_of_any_detector_with_its_own_scores_at_the_end(stage):
    clip.main(stage)
    table = read_table(stage.write()).to_pandas()
    keys = ["seed", "sample_id", "set", "group", "strength", "label", "predicted"]
    assert list(table.columns) == [*keys, "msp", "max_logit", "energy", "knn", "confidence", "knn_12", "knn_1", "mcm", "neglabel"]
    rows = [f"{name}/{i:06d}" for name in ("test", "ood", "shifted", "val") for i in range(COUNTS[name])]
    assert table.sample_id.tolist() == rows * 2 and table.seed.tolist() == [0] * len(rows) + [1] * len(rows)
    assert table.group[table.sample_id.str.startswith("val/")].eq("val").all()
    assert table[["msp", "mcm", "knn"]].ge(0).all(axis=None) and table.neglabel.between(0, 1, inclusive="neither").all()


def test_scores_are_of_the_detectors_own_logits_and_of_features_behind_its_layer(stage):
    clip.main(stage)
    table = read_table(stage.write()).to_pandas()
    mine = table[(table.seed == 1) & (table.group == "far")]
    labels, tensors = label_features(), load_file(stage.read("features/clip"))
    unit = lambda rows: torch.nn.functional.normalize(rows, dim=1).numpy()  # noqa: E731
    delta = detector(1).delta
    with torch.no_grad():
        images = {name: unit(tensors[name] + delta(tensors[name])) for name in COUNTS}
    logits = images["ood"] @ unit(labels.id).T * LOGIT_SCALE
    np.testing.assert_allclose(mine.energy, -np.log(np.exp(logits.astype(np.float64)).sum(1)), rtol=1e-5)
    np.testing.assert_array_equal(mine.predicted, logits.argmax(1))
    order = detector(1).order
    expected = {name: loop_neglabel(torch.tensor(images[name]), labels.id, labels.negative, order, 1 / LOGIT_SCALE) for name in COUNTS}
    np.testing.assert_allclose(mine.neglabel, expected["ood"], rtol=1e-4)
    concepts = np.exp((images["ood"] @ unit(labels.mcm).T).astype(np.float64))
    np.testing.assert_allclose(mine.mcm, -np.log(concepts.max(1) / concepts.sum(1)), rtol=1e-5)
    distances = np.sort(np.linalg.norm(images["ood"][:, None] - images["train"][None], axis=2), axis=1)
    np.testing.assert_allclose(mine.knn, distances[:, 2], rtol=1e-4)
    held_out = np.concatenate([np.log(expected[name] / (1 - expected[name])) for name in ("val", "calibration")])
    calibrator = fit("platt", held_out, np.repeat([False, True], [COUNTS["val"], COUNTS["calibration"]]))
    odds = np.log(expected["ood"] / (1 - expected["ood"]))
    np.testing.assert_allclose(mine.confidence, calibrator.probability(odds), rtol=1e-3)


def test_whole_and_in_parts_it_gives_the_same_bytes_of_clip(stage, tmp_path):
    clip.main(stage)
    parts = replace(stage, writes={"scores/clip": tmp_path / "parts.parquet"}, scratch_root=tmp_path / "other")
    for index in (1, 0):
        clip.main(replace(parts, part=(index, 2)))
    assert not parts.write().exists()
    clip.main(parts)
    assert parts.write().read_bytes() == stage.write().read_bytes()


def test_missing_rows_of_features_are_named(stage):
    path = stage.read("features/clip")
    tensors, ids = read_features(path)
    write_features(path, tensors | {"ood": tensors["ood"][1:]}, ids, {})
    with pytest.raises(PenumbraError, match=r"6 rows for 7 images of images/ood"):
        clip.main(stage)


def test_a_state_that_is_not_a_number_names_detector_seed_and_image(stage):
    weights = stage.read("detectors") / "seed-1/model.safetensors"
    state = load_file(weights)
    state["delta.0.bias"][1] = float("nan")
    save_file(state, weights)
    with pytest.raises(PenumbraError, match=r"detector clip-synood/seed-1: output for image train/000000 is NaN .*\(30 of 30 images\)"):
        clip.main(stage)
