"""Scores against pytorch-ood's detectors on the same logits and features: equal AUROC where the definition is equal.

What differs is a value of a score's parameters, given here, or stands in docs/fidelity.md.
"""

import numpy as np
import pytest
import torch
from banks import asked, random_bank, trained_bank
from scipy import special
from sklearn.metrics import roc_auc_score

import penumbra.models.vision  # noqa: F401
from penumbra.artifacts.outputs import Outputs
from penumbra.scores import SCORES
from penumbra.scores.openmax import SHIFT

from pytorch_ood import detector as theirs  # isort: skip  # it imports torchvision, which penumbra.models.vision prepares

BANKS = {"random": random_bank, "other": lambda: random_bank(seed=1, classes=7, width=40), "trained": trained_bank}


@pytest.fixture(params=list(BANKS))
def made(request):
    return BANKS[request.param]()


@pytest.fixture(autouse=True)
def exact(monkeypatch):
    """Theirs compute in torch's default type, and some round to float32 by `float()`: in float64, as ours, no pair of images ties."""
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def head(bank):
    """The last layer as a module that takes pooled feature maps [N, D, 1, 1] or features [N, D]."""
    linear = torch.nn.Linear(*bank.weight.shape[::-1])
    with torch.no_grad():
        linear.weight.copy_(bank.weight)
        linear.bias.copy_(bank.bias)
    return torch.nn.Sequential(torch.nn.Flatten(), linear)


def auroc(scores):
    inside, outside = scores
    return roc_auc_score(np.repeat([0, 1], [len(inside), len(outside)]), np.concatenate([inside, outside]))


def agree(mine, made, other, features=True):
    """Whether our score and a function of their features or logits have the same AUROC, above that of a coin."""
    _, *images = made
    ours = auroc([mine(each).numpy() for each in images])
    their = auroc([other(each.features if features else each.logits).detach().numpy() for each in images])
    assert ours == pytest.approx(their, abs=1e-6) and ours > 0.55


def maps(features):
    return features[:, :, None, None]


def test_temperature(made):
    bank = made[0]
    mine, other = asked("temperature", bank), theirs.TemperatureScaling(None)
    other.fit_logits(bank.val.logits, bank.val_labels)
    loss = lambda t: torch.nn.functional.cross_entropy(bank.val.logits / t, bank.val_labels).item()  # noqa: E731
    assert loss(mine.temperature) <= loss(other.t.item())  # 50 steps of theirs may end before the optimum
    other.t.data.fill_(mine.temperature)
    agree(mine, made, lambda logits: theirs.MaxSoftmax.score(logits, mine.temperature), features=False)


def test_scores_that_every_detector_has(made):
    others = {"msp": theirs.MaxSoftmax.score, "energy": theirs.EnergyBased.score, "max_logit": theirs.MaxLogit.score}
    for name, other in others.items():
        agree(SCORES[name](None), made, other, features=False)


def test_kl_matching(made):
    bank = made[0]
    other = theirs.KLMatching(None)
    other.fit_logits(bank.val.logits, bank.val_labels)
    agree(asked("kl-matching", bank), made, other.predict_logits, features=False)


def test_mahalanobis_with_their_ridge(made):
    bank = made[0]
    other = theirs.Mahalanobis(None)
    other.fit_features(bank.train.features, bank.labels)
    ridge = 1e-6 / ((other.cov.trace() / len(other.cov)).item() - 1e-6)  # theirs is 1e-6 beside a sum over images
    agree(asked("mahalanobis", bank, ridge=ridge), made, other.predict_features)


def test_relative_mahalanobis(made):
    bank = made[0]  # where no direction is without variance, as here, a ridge is too small to be seen
    other = theirs.RMD(None)
    other.fit_features(bank.train.features, bank.labels)
    agree(asked("relative-mahalanobis", bank, ridge=1e-12), made, other.predict_features)


def test_vim(made):
    bank = made[0]
    width = bank.weight.shape[1]
    other = theirs.ViM(None, width // 2, bank.weight, bank.bias)
    other.fit_features(bank.train.features, bank.labels)
    agree(asked("vim", bank, share=0.5), made, other.predict_features)


@pytest.mark.parametrize("images", ["train", "val"])
def test_react(made, images):
    bank = made[0]
    other = theirs.ReAct(None, head(bank), percentile=0.9)
    other.fit_feature_maps(maps(getattr(bank, images).features), torch.zeros(len(getattr(bank, images).features)))
    agree(asked("react", bank, images=images), made, lambda z: other.predict_feature_maps(maps(z)))


def test_dice(made):
    bank = made[0]
    other = theirs.DICE(None, bank.weight, bank.bias, 0.7)
    other.fit_features(bank.train.features, bank.labels)
    agree(asked("dice", bank, sparsity=0.7), made, lambda z: other.predict_features(z))


@pytest.mark.parametrize(("variant", "pruned"), [("p", 0.6), ("b", 0.65), ("s", 0.65), ("s", 0.3)])
def test_ash(made, variant, pruned):
    other = theirs.ASH(None, head(made[0]), variant=f"ash-{variant}", percentile=pruned)
    agree(asked("ash", made[0], variant=variant, pruned=pruned), made, lambda z: other.predict_feature_maps(maps(z)))


@pytest.mark.parametrize("pruned", [0.3, 0.65])
def test_scale(made, pruned):
    other = theirs.SCALE(None, head(made[0]), percentile=pruned)
    agree(asked("scale", made[0], pruned=pruned), made, lambda z: other.predict_feature_maps(maps(z)))


def test_gradnorm_of_the_last_layers_weights(made):
    linear = head(made[0])[1]
    other = theirs.GradNorm(linear, param_filter=lambda name: name == "weight")
    other.to("cpu")
    agree(asked("gradnorm", made[0]), made, other.predict)


def test_she(made):
    bank = made[0]
    other = theirs.SHE(None, head(bank))
    other.fit_features(bank.train.features, bank.labels)
    agree(asked("she", bank), made, other.predict_features)


@pytest.mark.parametrize(("gamma", "classes"), [(0.1, None), (0.5, 3)])
def test_generalised_entropy(made, gamma, classes):
    bank, *images = made
    spread = max((each.logits.max(1).values - each.logits.min(1).values).max().item() for each in images)
    factor = min(1, 13 / spread)  # theirs lets no probability below 1e-7
    made = bank, *(Outputs(factor * each.logits, each.features) for each in images)
    other = theirs.GEN(None, gamma, classes)
    agree(asked("gen", made[0], gamma=gamma, classes=classes), made, other.predict_logits, features=False)


def test_openmax_of_all_images(made):
    bank, test, ood = made
    mine = asked("openmax", bank, tail=25, distance="euclidean", images="all")
    other = theirs.OpenMax(None, tailsize=25, alpha=10, euclid_weight=1.0)
    other.fit_logits(bank.train.logits, bank.labels)
    for label, fitted in enumerate(mine.tails):
        tail = other._openmax.distributions[label]
        assert (tail.translation, tail.min_val) == (SHIFT, pytest.approx(fitted.start))
        assert (tail.c, tail.scale) == (pytest.approx(fitted.shape, rel=1e-4), pytest.approx(SHIFT * np.exp(fitted.log_scale)))
        tail.c, tail.scale = fitted.shape, SHIFT * np.exp(fitted.log_scale)  # theirs is the end of a search by simplices
    both = torch.cat([test.logits, ood.logits])  # theirs takes the distance to a class that is predicted nowhere in a batch for 0
    probability = other.predict_logits(both).numpy()
    found = mine(Outputs(both, None)).numpy()
    np.testing.assert_allclose(special.expit(found), probability, rtol=1e-6)
    count = len(test.logits)
    assert auroc([found[:count], found[count:]]) == pytest.approx(auroc([probability[:count], probability[count:]]), abs=1e-6)
