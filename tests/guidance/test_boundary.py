"""Boundary points and what is kept around them, against loops over all distances; and the released code's index error."""

import numpy as np
import torch
import torch.nn.functional as F

from penumbra.guidance.boundary import around, boundary, farthest, scrambled

K, KEEP = 4, 2


def embeddings(count=30, width=5, seed=0):
    return F.normalize(torch.randn(count, width, generator=torch.Generator().manual_seed(seed)) + torch.tensor([2.0, 0, 0, 0, 0]), dim=1)


def kth(point, bank, k):
    point = point / np.linalg.norm(point)
    return sorted(np.linalg.norm(point - other) for other in bank)[k - 1]


def test_the_boundary_is_of_those_whose_kth_neighbour_is_farthest_itself_the_first():
    bank = embeddings()
    rows = bank.numpy()
    distances = [kth(row, rows, K) for row in rows]
    found = [distances[place] for place in boundary(bank, K, 6)]  # two that are each other's neighbours are equally far
    np.testing.assert_allclose(found, sorted(distances, reverse=True)[:6], rtol=1e-5)
    assert boundary(bank, 1, 6).shape == (6,)  # all distances to oneself are 0: any will do


def drawn():
    bank = embeddings()
    noise = torch.randn(9, 5, generator=torch.Generator().manual_seed(1))
    points = bank[boundary(bank, K, 3)]
    return bank, points, noise, around(points, noise, 0.5)


def test_draws_around_a_point_are_it_and_noise_that_points_share():
    _, points, noise, draws = drawn()
    for point, of_point in zip(points, draws, strict=True):
        torch.testing.assert_close(of_point, torch.stack([point + 0.5 * each for each in noise]))


def test_the_farthest_draws_of_each_point_are_kept():
    bank, _, _, draws = drawn()
    expected = []
    for of_point in draws.numpy():
        order = np.argsort([kth(draw, bank.numpy(), K) for draw in of_point])[::-1]
        expected += [of_point[place] for place in order[:KEEP]]
    np.testing.assert_allclose(farthest(draws, bank, K, KEEP).numpy(), expected)


def test_the_released_code_compares_every_pth_draw_and_takes_those_places_of_a_point():
    bank, points, _, draws = drawn()
    listed = [kth(draw, bank.numpy(), K) for of_point in draws.numpy() for draw in of_point]  # point by point
    expected = []
    for place in range(len(points)):
        column = listed[place :: len(points)]  # read as if draw by draw
        expected += [draws[place, index].numpy() for index in np.argsort(column)[::-1][:KEEP]]
    found = scrambled(draws, bank, K, KEEP)
    np.testing.assert_allclose(found.numpy(), expected)
    assert not torch.equal(found, farthest(draws, bank, K, KEEP))


def test_with_one_point_the_released_code_is_right():
    bank, _, _, draws = drawn()
    assert torch.equal(scrambled(draws[:1], bank, K, KEEP), farthest(draws[:1], bank, K, KEEP))
