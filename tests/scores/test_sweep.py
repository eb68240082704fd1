"""Sweeps of score.more: the best of all combinations by brute force, what they are judged by, and what they are not."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from banks import PAPER, asked, random_bank, trained_bank
from sklearn.metrics import roc_auc_score

from penumbra.errors import PenumbraError
from penumbra.experiment.load import load
from penumbra.score.params import Score as Parameters
from penumbra.scores import scores_of
from penumbra.scores.base import Asked
from penumbra.scores.sweep import Swept
from penumbra.stage import Params
from penumbra.values import Section

GRIDS = [
    ("react", {"quantile": [0.2, 0.9, 0.5, 1.0]}),
    ("react", {"quantile": [0.5, 0.99], "images": ["val", "train"]}),
    ("gen", {"gamma": [0.01, 0.1, 2, 10], "classes": [1, 3, None]}),
    ("ash", {"variant": ["p", "b", "s"], "pruned": [0.0, 0.65, 0.9]}),
    ("vim", {"share": [0.2, 0.5]}),
    ("knn", {"k": [1, 20, 5]}),
]
OVERLAY = Path(__file__).parents[2] / "conf/ablations/scores-swept.yaml"


def swept(word, bank, **values):
    """A score of which some values are lists, as params.yaml asks for it, fitted."""
    more = {"mine": {"score": word} | PAPER.get(word, {}) | values}
    score = scores_of(Parameters(knn_k=1, knn_more=[], calibrator="platt", more=more), "network")["mine"]
    score.fit(bank)
    return score


def judged(score, bank):
    scores = [score(each).numpy() for each in (bank.val, bank.calibration)]
    return roc_auc_score(np.repeat([0, 1], [len(each) for each in scores]), np.concatenate(scores))


@pytest.mark.parametrize("bank", [random_bank, trained_bank])
@pytest.mark.parametrize(("word", "grid"), GRIDS)
def test_the_best_of_all_combinations_is_taken(bank, word, grid):
    made, test, ood = bank()
    score = swept(word, made, **grid)
    combinations = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    alone = [asked(word, made, **values) for values in combinations]
    areas = [judged(each, made) for each in alone]
    assert [each.values for each in score.candidates] == combinations
    np.testing.assert_allclose([each.auroc for each in score.candidates], areas, rtol=1e-12)
    (taken,) = [index for index, each in enumerate(score.candidates) if each.taken]
    assert areas[taken] == pytest.approx(max(areas), abs=1e-12)
    for images in (test, ood):
        assert torch.equal(score(images), alone[taken](images))


def test_of_equal_ones_the_first_is_taken():
    made, test, _ = random_bank(classes=5)
    score = swept("gen", made, gamma=0.1, classes=[5, 9, None, 1000])  # all that there are, each time
    assert len({each.auroc for each in score.candidates}) == 1
    assert [each.taken for each in score.candidates] == [True, False, False, False]
    assert score.candidates[0].values == {"classes": 5}


def test_one_value_is_that_value():
    made, test, _ = random_bank()
    score = swept("scale", made, pruned=[0.3])
    assert torch.equal(score(test), asked("scale", made, pruned=0.3)(test)) and score.candidates[0].taken
    assert not isinstance(scores_of(Parameters(knn_k=1, knn_more=[], calibrator="platt", more={"a": REACT}), "network")["a"], Swept)


REACT = {"score": "react", "quantile": 0.9, "images": "train"}


class Greedy(Asked):
    """Fits on calibration images."""

    class Parameters(Section):
        score: str
        factor: float

    def fit(self, bank):
        self.mean = bank.calibration.logits.mean()


def test_a_score_that_fits_on_calibration_images_cannot_be_swept():
    made, _, _ = random_bank()
    with pytest.raises(AttributeError):
        Swept(Greedy.Parameters(score="greedy", factor=1.0).model_copy(update={"factor": [1.0]}), "mine", Greedy).fit(made)


def test_calibration_images_choose_and_do_nothing_else():
    """Other calibration images that rank the candidates alike leave every score as it is."""
    made, test, _ = random_bank()
    few = replace(
        made.calibration, **{key: values[:60] for key, values in vars(made.calibration).items() if isinstance(values, torch.Tensor)}
    )
    whole, some = (swept("react", bank, quantile=[0.1, 1.0]) for bank in (made, replace(made, calibration=few)))
    assert [each.taken for each in whole.candidates] == [each.taken for each in some.candidates]
    assert [each.auroc for each in whole.candidates] != [each.auroc for each in some.candidates]
    assert torch.equal(whole(test), some(test))


def test_what_cannot_be_fitted_names_the_value():
    made, _, _ = random_bank(count=200)
    with pytest.raises(PenumbraError, match=r"score\.more\.mine\.k = 201: must be at most 200"):
        swept("knn", made, k=[1, 201])


def test_parameters_that_come_as_plain_mappings_sweep_too():
    """As an exported detector has them."""
    made, test, _ = random_bank()
    entry = {"score": "react", "quantile": [0.2, 0.9], "images": "train"}
    section = Params({"knn_k": 1, "knn_more": [], "calibrator": "platt", "more": {"mine": entry}})
    score = scores_of(section, "network")["mine"]
    score.fit(made)
    assert torch.equal(score(test), swept("react", made, quantile=[0.2, 0.9])(test))


def test_the_overlay_lists_values_that_every_score_takes():
    section = Parameters(knn_k=1, knn_more=[], calibrator="platt", more=load(OVERLAY)["score"]["more"])
    found = {name: score for name, score in scores_of(section, "network").items() if name in section.more}
    assert found.keys() == section.more.keys() and all(name.endswith("-swept") for name in found)
    assert all(isinstance(score, Swept) and len(list(score.combinations())) > 1 for score in found.values())
