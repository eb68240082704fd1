"""Principal directions of classes, and steps along them, against numpy and by hand."""

import numpy as np
import pytest
import torch

from penumbra.guidance.principal import principal_lines, toward


def test_a_line_is_the_mean_and_the_first_singular_vector_of_its_class():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 90)
    z = rng.normal(0, 1, (90, 5)) * [0.5, 1, 4, 1, 0.5] @ np.linalg.qr(rng.normal(0, 1, (5, 5)))[0] + 3 * labels[:, None]
    lines = principal_lines(torch.tensor(z, dtype=torch.float32), torch.tensor(labels))
    for label in range(3):
        own = z[labels == label]
        first = np.linalg.svd(own - own.mean(0))[2][0]
        np.testing.assert_allclose(lines.mean[label], own.mean(0), atol=1e-5)
        assert abs(first @ lines.direction[label].numpy()) == pytest.approx(1, abs=1e-5)
    assert lines.without == []


def test_classes_without_a_spread_have_no_direction():
    """One image, images that are alike but for rounding, and none at all."""
    alike = torch.tensor([[0.1, 0.2, 0.7]]).repeat(7, 1)
    z = torch.cat([torch.eye(3), torch.tensor([[1.0, 2.0, 3.0]]), alike])
    lines = principal_lines(z, torch.tensor([0, 0, 0, 1, *[3] * 7]))
    assert lines.without == [1, 2, 3] and lines.direction[0].norm() == pytest.approx(1)


# z has length 5, the mean lies 2 to its left: a step of 0.2 ends 1 away from it, one of 0.6 as far on the other side, one of 1 ends 3 away
@pytest.mark.parametrize("way", [1.0, -1.0])
@pytest.mark.parametrize(("share", "x", "distance"), [(0.2, 2, 1), (0.6, 0, 1), (1.0, -2, 3), (-0.2, 4, 3), (0.0, 3, 2)])
def test_a_step_is_a_share_of_the_length_to_the_side_of_the_mean_whichever_way_the_direction_points(way, share, x, distance):
    z, mean, direction = torch.tensor([[3.0, 4.0]]), torch.tensor([[1.0, 4.0]]).double(), torch.tensor([[way, 0.0]]).double()
    moved = toward(z, mean, direction, share)
    assert moved.dtype == torch.float32
    torch.testing.assert_close(moved, torch.tensor([[float(x), 4.0]]))
    assert (moved - mean).norm().item() == pytest.approx(distance)


def test_each_representation_moves_along_its_own_direction_alone():
    rng = torch.Generator().manual_seed(0)
    z, mean = torch.randn(20, 6, generator=rng), torch.randn(20, 6, generator=rng).double()
    direction = torch.nn.functional.normalize(torch.randn(20, 6, generator=rng).double(), dim=1)
    for share in (0.1, -0.1):
        step = toward(z, mean, direction, share).double() - z
        torch.testing.assert_close(step.norm(dim=1), 0.1 * z.double().norm(dim=1), rtol=1e-5, atol=0)
        side = (step * (mean - z)).sum(1) * share
        assert (side > 0).all()
        torch.testing.assert_close((step * direction).sum(1).abs(), step.norm(dim=1), rtol=1e-5, atol=0)
    assert torch.equal(toward(z[:3], mean[:3], direction[:3], 0.1), toward(z, mean, direction, 0.1)[:3])
