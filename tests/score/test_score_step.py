"""score on outputs: rows and columns of both kinds of detectors, scores of each seed's own outputs, no network."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import logsumexp

from image_files import write_image_files
from penumbra.artifacts.images import read_provenance, read_table
from penumbra.artifacts.outputs import Outputs, Pass, read_pass, saved_passes, write_keys, write_pass
from penumbra.calibrators import fit
from penumbra.errors import PenumbraError
from penumbra.score import step
from penumbra.score.params import TAKEN, Score
from penumbra.scores import SCORES
from penumbra.scores import base as scores
from penumbra.stage import Params, Stage

COUNTS = {"train": 12, "val": 8, "calibration": 9, "test": 7, "ood": 5, "shifted": 6}
TABLE = ["seed", "sample_id", "set", "group", "strength", "label", "predicted", "msp", "max_logit", "energy", "knn", "confidence"]
TABLE += ["knn_12", "knn_1"]


def made(seed, kind):
    """A pass over random images."""
    draws = torch.Generator().manual_seed(seed)
    outputs = {}
    for name, count in COUNTS.items():
        logits, features, concepts = (torch.randn(count, width, generator=draws) for width in (3, 4, 3))
        odds = torch.randn(count, generator=draws, dtype=torch.float64)
        outputs[name] = Outputs(logits, features, concepts / 4, odds) if kind == "clip" else Outputs(logits, features)
    return Pass(kind, outputs, torch.randn(3, 4, generator=draws), torch.zeros(3), 0.5 if kind == "clip" else None)


def stage_of(folder, kind):
    write_image_files(folder / "images", COUNTS)
    for seed in (10, 2):
        write_pass(folder / f"outputs/none/seed-{seed}.safetensors", made(seed, kind), {})
    write_keys(folder / "outputs/none/images.parquet", folder / "images", {})
    params = Params({"score": Score(knn_k=3, knn_more=[12, 1], calibrator="platt", more={})})
    reads, writes = {"outputs/none": folder / "outputs/none"}, {"scores/none": folder / "scores/none.parquet"}
    return Stage("score", "none", params, {}, reads, writes, folder / "scratch")


@pytest.fixture(params=["network", "clip"])
def kind(request):
    return request.param


@pytest.fixture
def stage(tmp_path, kind):
    return stage_of(tmp_path, kind)


@pytest.fixture
def network(tmp_path):
    return stage_of(tmp_path, "network")


def test_a_row_for_each_seed_and_test_image_and_a_column_for_each_score_of_the_kind(stage, kind):
    step.main(stage)
    table = read_table(stage.write()).to_pandas()
    assert list(table.columns) == [*TABLE, *(["mcm", "neglabel"] if kind == "clip" else [])]
    rows = [f"{name}/{i:06d}" for name in ("test", "ood", "shifted", "val") for i in range(COUNTS[name])]
    assert table.sample_id.tolist() == rows * 2 and table.seed.tolist() == [2] * len(rows) + [10] * len(rows)
    assert not list(stage.scratch_root.glob("*"))


def test_scores_and_confidence_come_from_the_seeds_own_outputs(stage, kind):
    step.main(stage)
    table = read_table(stage.write()).to_pandas()
    mine, outputs = table[(table.seed == 10) & (table.group == "far")], made(10, kind).outputs
    logits = {name: each.logits.double().numpy() for name, each in outputs.items()}
    odds = {name: each.log_odds.numpy() if kind == "clip" else -logsumexp(logits[name], axis=1) for name, each in outputs.items()}
    np.testing.assert_allclose(mine.energy, -logsumexp(logits["ood"], axis=1))
    np.testing.assert_array_equal(mine.predicted, logits["ood"].argmax(1))
    unit = {name: torch.nn.functional.normalize(each.features.double(), dim=1).numpy() for name, each in outputs.items()}
    distances = np.sort(np.linalg.norm(unit["ood"][:, None] - unit["train"][None], axis=2), axis=1)
    np.testing.assert_allclose(mine[["knn", "knn_12", "knn_1"]], distances[:, [2, 11, 0]], rtol=1e-5)
    held_out = np.concatenate([odds["val"], odds["calibration"]])
    calibrator = fit("platt", held_out, np.repeat([False, True], [COUNTS["val"], COUNTS["calibration"]]))
    np.testing.assert_allclose(mine.confidence, calibrator.probability(odds["ood"]), rtol=1e-9)
    if kind == "clip":
        concepts = np.exp(outputs["ood"].concepts.double().numpy() / 0.5)
        np.testing.assert_allclose(mine.mcm, -np.log(concepts.max(1) / concepts.sum(1)))
        np.testing.assert_allclose(mine.neglabel, 1 / (1 + np.exp(-odds["ood"])))


def test_whole_and_in_parts_it_gives_the_same_bytes(stage, tmp_path):
    step.main(stage)
    parts = replace(stage, writes={"scores/none": tmp_path / "parts.parquet"}, scratch_root=tmp_path / "other")
    for index in (1, 0):
        step.main(replace(parts, part=(index, 2)))
    assert not parts.write().exists()
    step.main(parts)
    assert parts.write().read_bytes() == stage.write().read_bytes()


def test_validation_images_are_no_id_test_images(network):
    step.main(network)
    table = read_table(network.write()).to_pandas()
    assert table.group[table.sample_id.str.startswith("val/")].eq("val").all()
    assert table.set[table.group == "val"].eq("id-val").all()
    assert (table.group == "id").sum() == 2 * COUNTS["test"]


def test_more_neighbours_than_training_images_name_the_parameter(network):
    params = Params({"score": Score(knn_k=3, knn_more=[1, 13], calibrator="platt", more={})})
    with pytest.raises(PenumbraError, match=r"score\.knn_more = 13: must be at most 12"):
        step.main(replace(network, params=params))


class Residual(scores.Score):
    """Distance to the mean of the class that is predicted: needs training labels and is of networks alone."""

    name, label, kinds = "residual", "residual", ("network",)

    def fit(self, bank):
        self.means = torch.stack([bank.train.features[bank.labels == label].mean(0) for label in range(len(bank.weight))])

    def __call__(self, outputs):
        return (outputs.features - self.means[outputs.logits.argmax(1)]).norm(dim=1)


def test_a_score_more_is_a_column_more(stage, kind, monkeypatch):
    step.main(stage)
    before = pd.read_parquet(stage.write())
    monkeypatch.setitem(SCORES, "residual", Residual)
    step.main(replace(stage, code="other"))
    after = pd.read_parquet(stage.write())
    pd.testing.assert_frame_equal(after.drop(columns="residual", errors="ignore"), before)
    assert ("residual" in after) == (kind == "network")
    if kind == "network":
        train, test = (made(2, kind).outputs[name] for name in ("train", "test"))
        first = train.features[int(test.logits[0].argmax()) :: 3].mean(0)
        assert after.residual[0] == pytest.approx((test.features[0] - first).norm().item(), rel=1e-5)


def test_scores_that_are_asked_for_come_last_and_change_no_other_column(stage, kind):
    step.main(stage)
    before = pd.read_parquet(stage.write())
    more = {"mine": {"score": "react", "quantile": 0.5, "images": "val"}, "gen-1": {"score": "gen", "gamma": 1.0, "classes": None}}
    more |= {"kl": {"score": "kl-matching", "by": "label"}}
    params = Params({"score": Score(knn_k=3, knn_more=[12, 1], calibrator="platt", more=more)})
    step.main(replace(stage, params=params))
    after = pd.read_parquet(stage.write())
    assert list(after.columns) == [*before.columns, *(["mine"] if kind == "network" else []), "gen-1", "kl"]
    pd.testing.assert_frame_equal(after[before.columns], before)
    mine, outputs = after[(after.seed == 10) & (after.group == "far")], made(10, kind).outputs
    p = {name: each.logits.double().softmax(1).numpy() for name, each in outputs.items()}
    np.testing.assert_allclose(mine["gen-1"], (p["ood"] * (1 - p["ood"])).sum(1))
    means = np.stack([p["val"][label::3].mean(0) for label in range(3)])  # labels of the images are i % 3
    np.testing.assert_allclose(mine.kl, [min((row * np.log(row / mean)).sum() for mean in means) for row in p["ood"]])


def test_what_a_sweep_tried_stands_beside_the_scores_of_each_seed(network, tmp_path):
    of = {"score": "react", "images": "train"}
    more = {"low": of | {"quantile": 0.2}, "high": of | {"quantile": 1.0}, "either": of | {"quantile": [0.2, 1.0]}}
    params = Params({"score": Score(knn_k=3, knn_more=[], calibrator="platt", more=more)})
    step.main(replace(network, params=params))
    table, tried = pd.read_parquet(network.write()), read_provenance(network.write())["swept"]
    assert set(tried) == {"2", "10"} and all(list(of_seed) == ["either"] for of_seed in tried.values())
    for seed, of_seed in tried.items():
        candidates = of_seed["either"]
        assert [each["values"] for each in candidates] == [{"quantile": 0.2}, {"quantile": 1.0}]
        best = int(candidates[1]["auroc"] > candidates[0]["auroc"])
        assert [each["taken"] for each in candidates] == [best == 0, best == 1]
        mine = table[table.seed == int(seed)]
        np.testing.assert_array_equal(mine.either, mine[["low", "high"][best]])
    whole = network.write().read_bytes()
    parts = replace(network, params=params, writes={"scores/none": tmp_path / "parts.parquet"}, scratch_root=tmp_path / "other")
    step.main(replace(parts, part=(0, 2)))
    step.main(parts)
    assert parts.write().read_bytes() == whole


def test_without_a_sweep_nothing_stands_there(network):
    step.main(network)
    assert set(read_provenance(network.write())) == {"stage", "params", "versions"}


def test_scores_of_layers_are_those_of_detectors_whose_pass_has_kept_them(network):
    more = {"gram": {"score": "gram", "powers": 2, "by": "predicted"}, "layers": {"score": "mahalanobis-layers", "ridge": 0.5}}
    asked = replace(network, params=Params({"score": Score(knn_k=3, knn_more=[], calibrator="platt", more=more)}))
    step.main(asked)
    assert not set(more) & set(read_table(asked.write()).column_names)
    draws = torch.Generator().manual_seed(0)
    for path in saved_passes(network.read("outputs")).values():
        found = read_pass(path)
        for outputs in found.outputs.values():
            for layer, width in enumerate((2, 3)):
                shape = (len(outputs.logits), 2, width)
                outputs.beside[f"gram/{layer}"] = torch.randn(shape, generator=draws, dtype=torch.float64)
                outputs.beside[f"means/{layer}"] = outputs.beside[f"gram/{layer}"][:, 0]
        write_pass(path, found, {})
    step.main(asked)
    table = read_table(asked.write()).to_pandas()
    assert list(table.columns[-2:]) == list(more) and np.isfinite(table[list(more)]).all(axis=None)


def test_no_score_may_be_asked_for_under_the_name_of_a_column(stage):
    step.main(stage)
    assert set(read_table(stage.write()).column_names) - {"sample_id", "knn_12", "knn_1"} <= set(TAKEN)


def test_it_imports_no_network_and_assembling_no_torch(network):
    code = "import sys; import penumbra.score.step; assert 'torch' not in sys.modules; import penumbra.score.frames\n"
    code += "sys.exit(bool({'torchvision', 'sklearn', 'transformers', 'penumbra.models'} & sys.modules.keys()))"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert list(saved_passes(network.read("outputs"))) == [2, 10]
