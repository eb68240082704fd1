"""Scores that score.more asks for, each against a loop over images that is written from its paper."""

import numpy as np
import pytest
import torch
from banks import PAPER, asked, overlay, random_bank, trained_bank
from scipy import optimize, special, stats

from penumbra.scores import ASKED, openmax

BANKS = {"random": random_bank, "trained": trained_bank}


@pytest.fixture(params=list(BANKS), scope="module")
def made(request):
    """A bank, and outputs for ID and OOD images together, as arrays beside."""
    bank, test, ood = BANKS[request.param]()
    images = type(test)(torch.cat([test.logits, ood.logits]), torch.cat([test.features, ood.features]))
    return bank, images


def softmax(logits):
    return special.softmax(np.asarray(logits), axis=1)


def energies(features, bank, weight=None):
    weight = bank.weight.numpy() if weight is None else weight
    return [-special.logsumexp(weight @ feature + bank.bias.numpy()) for feature in features]


def check(word, made, expected, rtol=1e-9, **values):
    bank, images = made
    np.testing.assert_allclose(asked(word, bank, **values)(images).numpy(), expected, rtol=rtol, atol=1e-9)


def test_every_score_has_the_values_of_its_paper_in_the_overlay():
    entries = overlay()
    words = {entry["score"] for entry in entries.values() if "score" in entry}
    of_all = {word for word, score in ASKED.items() if not score.takes}  # others: test_layer_scores.py, test_head_scores.py
    assert words | {"knn"} == of_all == set(PAPER)  # every detector has knn, unasked
    for word, values in ((word, PAPER[word]) for word in words):
        assert {"score": word} | values in entries.values()


def test_the_temperature_has_the_least_negative_log_likelihood(made):
    bank, images = made
    logits, labels = bank.val.logits.numpy(), bank.val_labels.numpy()

    def loss(temperature):
        return -np.mean([special.log_softmax(row / temperature)[label] for row, label in zip(logits, labels, strict=True)])

    score = asked("temperature", bank)
    found = optimize.minimize_scalar(loss, bounds=(0.06, 50), method="bounded", options={"xatol": 1e-10})
    assert score.temperature == pytest.approx(found.x, rel=1e-5) and loss(score.temperature) <= found.fun + 1e-15
    check("temperature", made, -np.log(softmax(images.logits / score.temperature).max(1)))


@pytest.mark.parametrize(("logits", "expected"), [([[3.0, 0.0], [0.0, 3.0]], 0.05), ([[0.0, 3.0], [3.0, 0.0]], 100.0)])
def test_a_temperature_without_an_optimum_is_a_bound(logits, expected):
    from penumbra.scores.temperature import optimum

    assert optimum(torch.tensor(logits, dtype=torch.float64), torch.tensor([0, 1])) == expected


@pytest.mark.parametrize("by", ["predicted", "label"])
def test_kl_matching(made, by):
    bank, images = made
    posteriors = softmax(bank.val.logits)
    classes = posteriors.argmax(1) if by == "predicted" else bank.val_labels.numpy()
    templates = [posteriors[classes == label].mean(0) for label in np.unique(classes)]
    expected = [min(stats.entropy(p, template) for template in templates) for p in softmax(images.logits)]
    check("kl-matching", made, expected, by=by, rtol=1e-7)


def distributions(bank, ridge):
    """Class means, and the inverse of the covariance that they share; and those of all images."""
    features, labels = bank.train.features.numpy(), bank.labels.numpy()
    means = {label: features[labels == label].mean(0) for label in np.unique(labels)}
    shared = sum(np.outer(z - means[label], z - means[label]) for z, label in zip(features, labels, strict=True)) / len(features)
    whole = np.cov(features.T, bias=True)
    inverse = lambda s: np.linalg.inv(s + ridge * np.trace(s) / len(s) * np.eye(len(s)))  # noqa: E731
    return list(means.values()), inverse(shared), features.mean(0), inverse(whole)


@pytest.mark.parametrize("ridge", [1e-6, 0.1])
def test_mahalanobis(made, ridge):
    means, inverse, mean, of_all = distributions(made[0], ridge)
    images = made[1].features.numpy()
    nearest = [min((z - m) @ inverse @ (z - m) for m in means) for z in images]
    check("mahalanobis", made, nearest, ridge=ridge, rtol=1e-6)
    relative = [found - (z - mean) @ of_all @ (z - mean) for found, z in zip(nearest, images, strict=True)]
    check("relative-mahalanobis", made, relative, ridge=ridge, rtol=1e-6)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_vim_and_its_residual(made, share):
    bank, images = made
    origin = -np.linalg.lstsq(bank.weight.numpy(), bank.bias.numpy(), rcond=None)[0]
    centred = bank.train.features.numpy() - origin
    principal = np.linalg.svd(centred)[2][: round(share * centred.shape[1])]

    def left(feature):
        z = feature - origin
        for direction in principal:
            z = z - (z @ direction) * direction
        return np.linalg.norm(z)

    residuals = [left(z) for z in images.features.numpy()]
    check("residual", made, residuals, share=share, rtol=1e-6)
    alpha = bank.train.logits.numpy().max(1).sum() / sum(left(z) for z in bank.train.features.numpy())
    virtual = [alpha * norm for norm in residuals]
    score = asked("vim", bank, share=share)(images).numpy()
    expected = [special.softmax([*row, v])[-1] for row, v in zip(images.logits.numpy(), virtual, strict=True)]
    np.testing.assert_allclose(special.expit(score), expected, rtol=1e-6)


@pytest.mark.parametrize("images", ["train", "val"])
def test_react(made, images):
    bank = made[0]
    activations = sorted((bank.train if images == "train" else bank.val).features.flatten().tolist())
    place = 0.9 * (len(activations) - 1)
    low, part = int(place), place - int(place)
    cut = activations[low] * (1 - part) + activations[low + 1] * part
    check("react", made, energies([np.minimum(z, cut) for z in made[1].features.numpy()], bank), images=images)


def test_dice(made):
    bank = made[0]
    mean = np.mean([z for z in bank.train.features.numpy()], axis=0)
    contributions = np.array([[w * m for w, m in zip(row, mean, strict=True)] for row in bank.weight.numpy()])
    weight = np.where(contributions > np.percentile(contributions, 70), bank.weight.numpy(), 0)
    check("dice", made, energies(made[1].features.numpy(), bank, weight), sparsity=0.7)


@pytest.mark.parametrize("pruned", [0.0, 0.3, 0.9, 0.999])
def test_activation_shaping(made, pruned):
    bank, images = made
    width = images.features.shape[1]
    count = max(width - round(width * pruned), 1)
    shaped = {"p": [], "b": [], "s": [], "scale": []}
    for z in images.features.numpy():
        largest = np.argsort(-z, kind="stable")[:count]
        alive = np.zeros(width)
        alive[largest] = 1
        ratio = z.sum() / z[largest].sum()
        shaped["p"].append(z * alive)
        shaped["b"].append(alive * z.sum() / count)
        shaped["s"].append(z * alive * np.exp(ratio))
        shaped["scale"].append(z * np.exp(ratio))
    untied = torch.from_numpy(np.array([np.sort(z)[-count] > 0 for z in images.features.numpy()]))
    for variant in "ps":
        check("ash", made, energies(shaped[variant], bank), variant=variant, pruned=pruned)
    found = asked("ash", bank, variant="b", pruned=pruned)(images)  # which of several zeros becomes a number, is any
    np.testing.assert_allclose(found[untied], np.array(energies(shaped["b"], bank))[untied], rtol=1e-9)
    check("scale", made, energies(shaped["scale"], bank), pruned=pruned)


def test_gradnorm_is_the_norm_of_the_gradient(made):
    bank, images = made
    expected = []
    for z in images.features:
        weight = bank.weight.clone().requires_grad_()
        divergence = -(weight @ z + bank.bias).log_softmax(0).mean()
        expected.append(-torch.autograd.grad(divergence, weight)[0].abs().sum().item())
    check("gradnorm", made, expected)


def test_she(made):
    bank, images = made
    patterns = {}
    for z, logits, label in zip(bank.train.features.numpy(), bank.train.logits.numpy(), bank.labels.tolist(), strict=True):
        if np.argmax(logits) == label:
            patterns.setdefault(label, []).append(z)
    pairs = zip(images.features.numpy(), images.logits.numpy(), strict=True)
    check("she", made, [-np.dot(z, np.mean(patterns[np.argmax(logits)], axis=0)) for z, logits in pairs])


@pytest.mark.parametrize(("gamma", "classes"), [(0.1, 100), (0.1, None), (0.5, 3), (2.0, 1)])
def test_generalised_entropy(made, gamma, classes):
    expected = [sum((p * (1 - p)) ** gamma for p in sorted(row)[::-1][:classes]) for row in softmax(made[1].logits)]
    check("gen", made, expected, gamma=gamma, classes=classes, rtol=1e-6)


def test_generalised_entropy_keeps_the_order_of_images_whose_probability_rounds_to_one():
    bank, test, _ = random_bank()
    logits = torch.zeros(3, 5, dtype=torch.float64)
    logits[:, 0] = torch.tensor([40.0, 60.0, 80.0])
    scores = asked("gen", bank)(type(test)(logits, test.features[:3]))
    assert (softmax(logits)[:, 0] == 1).all() and scores[0] > scores[1] > scores[2] > 0


@pytest.mark.parametrize(("distance", "alpha"), [("euclidean", 3), ("euclidean", 10), ("eucos", 2)])
def test_openmax(made, distance, alpha):
    bank, images = made
    train, classes = bank.train.logits.numpy(), bank.weight.shape[0]

    def apart(a, b):
        euclidean = sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) ** 0.5
        return euclidean if distance == "euclidean" else euclidean / 200 + 1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b)

    score = asked("openmax", bank, alpha=alpha, tail=15, distance=distance)
    means, tails = [], []
    for label in range(classes):
        own = [row for row, of in zip(train, bank.labels.tolist(), strict=True) if of == label and row.argmax() == label]
        means.append(np.mean(own, axis=0))
        tails.append(sorted(apart(row, means[-1]) for row in own)[-15:])
    expected = []
    for row in images.logits.numpy():
        revised, unknown = row.copy(), 0.0
        for rank, label in enumerate(np.argsort(-row)[:alpha], start=1):
            weight = (alpha + 1 - rank) / alpha if alpha <= classes else (classes + 1 - rank) / classes
            weight *= score.tails[label].probability(np.array([apart(row, means[label])]))[0]
            unknown += row[label] * weight
            revised[label] = row[label] * (1 - weight)
        expected.append(special.softmax([unknown, *revised])[0])
    np.testing.assert_allclose(special.expit(score(images).numpy()), expected, rtol=1e-8)
    for tail, fitted in zip(tails, score.tails, strict=True):
        assert fitted.start == pytest.approx(tail[0], rel=1e-9)


def test_the_tail_of_openmax_has_the_greatest_likelihood():
    draws = np.random.default_rng(0)
    tail = np.sort(draws.gamma(3, 2000, 20))
    fitted = openmax.fitted(tail)
    x = 1 + (tail - tail[0]) / openmax.SHIFT
    likelihood = lambda shape, scale: stats.weibull_min.logpdf(x, shape, scale=scale).sum()  # noqa: E731
    shape, _, scale = stats.weibull_min.fit(x, floc=0)
    mine = likelihood(fitted.shape, np.exp(fitted.log_scale))
    assert mine >= likelihood(shape, scale) - 1e-9 and fitted.shape == pytest.approx(shape, rel=1e-3)
    for factor in (0.99, 1.01):
        assert (
            likelihood(fitted.shape * factor, np.exp(fitted.log_scale)) < mine > likelihood(fitted.shape, np.exp(fitted.log_scale) * factor)
        )
    np.testing.assert_allclose(fitted.probability(tail), stats.weibull_min.cdf(x, fitted.shape, scale=np.exp(fitted.log_scale)))


def test_a_tail_of_one_distance_is_a_step():
    for tail in (np.array([2.0]), np.array([2.0, 2.0, 2.0])):
        found = openmax.fitted(tail).probability(np.array([0.0, 1.999, 2.001, 1e9]))
        np.testing.assert_allclose(found, [0, 0, 1, 1], atol=1e-12)
