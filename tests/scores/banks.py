"""Banks that scores are fitted on: random features with a last layer, and those of a small network that has learnt digits."""

from functools import cache

import torch
from sklearn.datasets import load_digits
from torch import nn

from penumbra.artifacts.outputs import Outputs
from penumbra.experiment.load import load
from penumbra.scores import ASKED
from penumbra.scores.base import Asked, Bank

PAPER = {  # the values of each score's paper
    "knn": {"k": 5},  # of banks as small as these
    "temperature": {},
    "kl-matching": {"by": "predicted"},
    "mahalanobis": {"ridge": 1e-6},
    "relative-mahalanobis": {"ridge": 1e-6},
    "residual": {"share": 0.5},
    "vim": {"share": 0.5},
    "react": {"quantile": 0.9, "images": "train"},
    "dice": {"sparsity": 0.9},
    "ash": {"variant": "s", "pruned": 0.9},
    "scale": {"pruned": 0.85},
    "gradnorm": {},
    "she": {},
    "gen": {"gamma": 0.1, "classes": 100},
    "openmax": {"tail": 20, "alpha": 10, "distance": "eucos", "images": "right"},
}


def asked(word: str, bank: Bank | None = None, **values) -> Asked:
    """A score as params.yaml asks for it, with its paper's values but for those given; fitted if there is a bank."""
    score = ASKED[word](ASKED[word].Parameters(score=word, **PAPER[word] | values), "mine")
    if bank is not None:
        score.fit(bank)
    return score


def outputs_of(features: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> Outputs:
    return Outputs(features @ weight.T + bias, features)


def random_bank(seed: int = 0, classes: int = 5, width: int = 12, count: int = 200) -> tuple[Bank, Outputs, Outputs]:
    """A bank, ID test images and OOD ones: clusters behind a ReLU, the last layer made of their means."""
    draws = torch.Generator().manual_seed(seed)
    draw = lambda *size: torch.randn(*size, generator=draws, dtype=torch.float64)  # noqa: E731
    means, mixing = 2 * draw(classes, width), draw(width, width) / width**0.5
    weight, bias = (means - means.mean(0)) / width, draw(classes) / 10

    def images(number: int) -> tuple[Outputs, torch.Tensor]:
        labels = torch.randint(0, classes, (number,), generator=draws)
        return outputs_of((means[labels] + draw(number, width) @ mixing).relu(), weight, bias), labels

    (train, labels), (val, val_labels), (test, _) = images(count), images(count // 2), images(count // 2)
    ood, calibration = (outputs_of((2 * draw(count // 2, width)).relu(), weight, bias) for _ in range(2))
    return Bank(train, labels, val, val_labels, calibration, weight, bias, None), test, ood


@cache
def trained_bank() -> tuple[Bank, Outputs, Outputs]:
    """The same of a network of one hidden layer that tells the digits 0-5 of scikit-learn apart; OOD: 6-9."""
    torch.manual_seed(0)
    pixels, digits = (torch.from_numpy(array) for array in load_digits(return_X_y=True))
    pixels, digits = pixels / 16, digits.long()
    network = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 6)).double()
    inside, outside = pixels[digits < 6], pixels[digits >= 6]
    labels = digits[digits < 6]
    optimiser = torch.optim.SGD(network.parameters(), lr=0.3, momentum=0.9, weight_decay=5e-3)
    for _ in range(60):
        optimiser.zero_grad()
        nn.functional.cross_entropy(network(inside[:600]), labels[:600]).backward()
        optimiser.step()
    with torch.no_grad():
        features = [network[:2](part) for part in (inside[:600], inside[600:800], inside[800:], outside[:300], outside[300:])]
    alive = features[0].std(0) > 0.01  # units that never fire are cut off
    weight, bias = network[2].weight.detach()[:, alive], network[2].bias.detach()
    train, val, test, calibration, ood = (outputs_of(part[:, alive], weight, bias) for part in features)
    return Bank(train, labels[:600], val, labels[600:800], calibration, weight, bias, None), test, ood


def overlay() -> dict[str, dict]:
    """score.more of conf/ablations/scores.yaml, as it stands there."""
    from pathlib import Path

    return load(Path(__file__).parents[2] / "conf/ablations/scores.yaml")["score"]["more"]
