"""The joint objective written out, what each step moves, and candidates that are the same in parts."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from outlier_files import outliers_of

from penumbra.artifacts.images import ImageWriter, encode, read_pixels
from penumbra.artifacts.pixels import store
from penumbra.models.classifiers.library import LibraryClassifier
from penumbra.stage import Params, Stage
from penumbra.synthesize.boundarygan import plan
from penumbra.synthesize.boundarygan.params import BoundaryGan
from penumbra.synthesize.boundarygan.training import classifier_loss, discriminator_loss, divergence, generator_loss, play, players, train
from penumbra.synthesize.boundarygan.work import units
from penumbra.values import OtherNetwork, ResNetSizes

SMALL = ResNetSizes(architecture="resnet18", width=8, stem_kernel=3, stem_stride=1, stem_pool=False)
P = BoundaryGan(
    method="boundarygan", count=6, latent=5, channels=4, classifier=SMALL, epochs=2, batch_size=8, learning_rate=0.001, beta=1.0,
    crop_padding=0, flip=False,
)  # fmt: skip
CPU = torch.device("cpu")


def logits(rows, width, seed):
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed))


def test_the_divergence_is_that_of_the_uniform_distribution_from_the_softmax():
    given = logits(4, 3, 0)
    terms = [sum(math.log((1 / 3) / share) / 3 for share in row) for row in torch.softmax(given, 1).tolist()]
    assert divergence(given).item() == pytest.approx(sum(terms) / 4, rel=1e-4)
    assert divergence(torch.full((2, 3), 5.0)).item() == pytest.approx(0, abs=1e-6)


def test_the_objectives_are_the_terms_of_equation_4():
    real, drawn, of_images, of_drawn, labels = (
        logits(4, 1, 1)[:, 0],
        logits(4, 1, 2)[:, 0],
        logits(4, 3, 3),
        logits(4, 3, 4),
        torch.tensor([0, 2, 1, 1]),
    )
    d_real, d_drawn = torch.sigmoid(real), torch.sigmoid(drawn)
    torch.testing.assert_close(discriminator_loss(real, drawn), -torch.log(d_real).mean() - torch.log(1 - d_drawn).mean())
    torch.testing.assert_close(generator_loss(drawn, of_drawn, 0.3), -torch.log(d_drawn).mean() + 0.3 * divergence(of_drawn))
    cross_entropy = -torch.log_softmax(of_images, 1)[torch.arange(4), labels].mean()
    torch.testing.assert_close(classifier_loss(of_images, labels, of_drawn, 0.3), cross_entropy + 0.3 * divergence(of_drawn))


@pytest.mark.parametrize("size", [8, 16, 32])
def test_images_have_the_size_of_the_experiment(size):
    made = players(P, 2, size, 0, CPU)
    drawn = made.generator(torch.randn(3, 5))
    assert drawn.shape == (3, 3, size, size) and ((drawn > 0) & (drawn < 1)).all()
    assert made.discriminator(drawn).shape == (3,) and made.classifier(drawn).shape == (3, 2)


def test_any_classifier_learns_beside(tmp_path):
    other = OtherNetwork(architecture="torchvision/shufflenet_v2_x0_5", input_size=32)
    p = P.model_copy(update={"classifier": other, "epochs": 1})
    made = players(p, 2, 8, 0, CPU)
    assert isinstance(made.classifier, LibraryClassifier)
    before = made.classifier.last_layer.weight.clone()
    train(made, torch.randint(0, 256, (16, 8, 8, 3), dtype=torch.uint8), torch.arange(16) % 2, p, 0, tmp_path / "players.pt")
    assert (made.classifier.last_layer.weight != before).any()


def multiplications(network, *given):
    """Of the convolutions and linear layers of a network, counted as it runs."""
    counted = []

    def count(module, inputs, output):
        taps = module.weight[0].numel()
        counted.append(taps * output[0].numel())

    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            module.register_forward_hook(count)
    network(*given)
    return sum(counted) / 1e6


def test_its_work_is_what_its_networks_multiply():
    p = P.model_copy(update={"channels": 16, "latent": 64})
    made = players(p, 2, 32, 0, CPU)
    generator = multiplications(made.generator, torch.randn(1, 64))
    discriminator = multiplications(made.discriminator, torch.rand(1, 3, 32, 32))
    work = SimpleNamespace(size=32, n=SimpleNamespace(train=10), classifier=lambda given: 1.0)
    assert units(p, work) == {"pretrain-classifier": pytest.approx(10 * p.epochs * (generator + 3 * discriminator + 3), rel=0.05)}


def test_each_step_moves_its_own_network_alone():
    made = players(P, 2, 8, 0, CPU)
    optimizers = {name: torch.optim.SGD(each.parameters(), 0.0) for name, each in made.modules().items()}
    for name in optimizers:
        start = {other: [value.clone() for value in each.parameters()] for other, each in made.modules().items()}
        rates = {other: 0.1 if other == name else 0.0 for other in optimizers}
        for other, optimizer in optimizers.items():
            optimizer.param_groups[0]["lr"] = rates[other]
        play(made, optimizers, torch.rand(8, 3, 8, 8), torch.arange(8) % 2, torch.randn(8, 5), 1.0)
        ends = {other: list(each.parameters()) for other, each in made.modules().items()}
        moved = {other for other in ends if any((a != b).any() for a, b in zip(ends[other], start[other], strict=True))}
        assert moved == {name}


def make_stage(folder):
    folder.mkdir(exist_ok=True)
    columns, rng = {"sample_id": pa.string(), "label": pa.int64()}, np.random.default_rng(0)
    with ImageWriter(folder / "train.parquet", columns, {"classes": ["a", "b"]}) as writer:
        for row in range(16):
            writer.add(encode(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)), sample_id=f"train/{row}", label=row % 2)
    params = Params({"common": {"seed": 0, "grey": True}, "synthesize": {"gan": P}})
    return Stage(
        "synthesize", "gan", params, {}, {"images/train": folder / "train.parquet"}, outliers_of(folder, "gan"), folder / "scratch"
    )


def test_images_on_the_disk_teach_what_images_in_memory_do(tmp_path):
    stage, p = make_stage(tmp_path), P.model_copy(update={"crop_padding": 2, "flip": True})
    file, taught = stage.read("images/train"), []
    for pixels in (torch.from_numpy(read_pixels(file)), store(tmp_path / "pixels.npy", (file, None))):
        made = players(p, 2, 8, 0, CPU)
        train(made, pixels, torch.arange(16) % 2, p, 0, tmp_path / "players.pt")
        taught.append([value for each in made.modules().values() for value in each.state_dict().values()])
    assert all(torch.equal(*pair) for pair in zip(*taught, strict=True))


def test_it_writes_candidates_the_same_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "BLOCK", 4)
    whole, parts = make_stage(tmp_path / "a"), make_stage(tmp_path / "b")
    plan.main(whole)
    rows = pq.read_table(whole.write("outliers")).to_pandas()
    assert rows.sample_id.tolist() == [f"gan/{index:06d}" for index in range(6)] and rows.confidence.between(0.5, 1).all()
    assert rows.image.map(lambda image: image["bytes"]).is_unique
    for index in (1, 0):
        plan.main(replace(parts, part=(index, 2)))
    plan.main(parts)
    assert parts.write("outliers").read_bytes() == whole.write("outliers").read_bytes()
