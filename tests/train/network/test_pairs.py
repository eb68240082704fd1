"""Which outlier stands beside which ID image."""

from collections import Counter

import pytest
import torch
from training_files import UNIFORM

from penumbra.train.losses.uniform.loss import UniformLoss
from penumbra.train.losses.uniform.params import Recipe
from penumbra.train.network.batches import Partners, batches
from penumbra.train.network.images import Images


def images(count, sources=None, label=None):
    """Image i shows only the number i."""
    pixels = torch.arange(count, dtype=torch.uint8)[:, None, None, None].expand(count, 4, 4, 3).contiguous()
    labels = torch.arange(count) % 2 if label is None else torch.full((count,), label)
    return Images(pixels, labels, None if sources is None else torch.tensor(sources))


def shown(batch):
    """Numbers of the ID images and of the outliers of a batch."""
    numbers = (batch.images[:, 0, 0, 0] * 255).round().long()
    return numbers[: len(batch.paired)].tolist(), numbers[len(batch.paired) :].tolist()


def epoch(train, outliers, paired, seed=0, batch_size=4):
    p = Recipe(**UNIFORM | {"crop_padding": 0, "flip": False, "batch_size": batch_size, "paired": paired})
    return list(batches(train, outliers, p, UniformLoss, (0, 1, seed)))


def test_every_id_image_stands_beside_an_outlier_of_its_own_and_so_does_its_reconstruction():
    train = images(8, sources=[0, 1, 2, 3, 0, 1, 2, 3])  # the last four are reconstructions
    outliers = images(4, sources=[3, 1, 0, 2], label=-1)
    for batch in epoch(train, outliers, paired=True):
        assert batch.paired.all() and (batch.labels[4:] == -1).all()
        for id_image, outlier in zip(*shown(batch), strict=True):
            assert outliers.sources[outlier] == train.sources[id_image]


def test_several_outliers_of_an_image_take_turns():
    partners = Partners(torch.tensor([0, 1]), torch.tensor([1, 0, 1, 1]))
    rows, own = partners.draw(torch.ones(300, dtype=torch.long), torch.Generator().manual_seed(0))
    counts = Counter(rows.tolist())
    assert own.all() and set(counts) == {0, 2, 3} and min(counts.values()) > 70


def test_an_image_whose_outlier_is_not_selected_gets_any_outlier_that_makes_no_pair():
    partners = Partners(torch.arange(5), torch.tensor([3, -1, 1]))
    rows, own = partners.draw(torch.tensor([3, 4] * 200), torch.Generator().manual_seed(0))
    assert own.tolist() == [True, False] * 200
    assert set(rows[::2].tolist()) == {0}
    counts = Counter(rows[1::2].tolist())
    assert set(counts) == {0, 1, 2} and min(counts.values()) > 40


def test_unpaired_outliers_pass_once_before_any_comes_again_and_do_not_follow_their_images():
    train, outliers = images(32, sources=list(range(32))), images(32, sources=list(range(32)), label=-1)
    passed = epoch(train, outliers, paired=False)
    drawn = [shown(batch) for batch in passed]
    assert sorted(sum((ood for _, ood in drawn), [])) == list(range(32))
    assert sum(i == o for ids, ood in drawn for i, o in zip(ids, ood, strict=True)) < 8
    assert all(batch.paired.all() for batch in passed)  # the official code takes them for pairs


@pytest.mark.parametrize("paired", [True, False])
def test_fewer_id_images_than_a_batch_holds_have_as_many_outliers(paired):
    (batch,) = epoch(images(3, sources=[0, 1, 2]), images(9, sources=list(range(9)), label=-1), paired, batch_size=8)
    assert len(batch.paired) == 3 and len(batch.images) == 6
