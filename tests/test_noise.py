"""Noise belongs to the sample."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from penumbra.noise import SampleNoise, derive, generator


@given(st.lists(st.text(min_size=1), min_size=1, max_size=6, unique=True), st.randoms())
def test_a_samples_draws_do_not_depend_on_its_batch(ids, random):
    whole = SampleNoise(3, "step", ids)
    first, second = whole.normal(4), whole.gumbel(2, 2)
    shuffled = random.sample(ids, len(ids))
    for sample_id in shuffled:
        alone = SampleNoise(3, "step", [sample_id])
        row = ids.index(sample_id)
        assert torch.equal(alone.normal(4)[0], first[row])
        assert torch.equal(alone.gumbel(2, 2)[0], second[row])


def test_seed_step_and_sample_each_give_another_stream():
    draws = [SampleNoise(*key).normal(8) for key in [(0, "a", ["x"]), (1, "a", ["x"]), (0, "b", ["x"]), (0, "a", ["y"])]]
    for i, left in enumerate(draws):
        assert all(not torch.equal(left, right) for right in draws[i + 1 :])


def test_parts_of_a_seed_do_not_run_together():
    assert derive("ab", "c") != derive("a", "bc")
    assert derive(1, 23) != derive(12, 3)


def test_draws_have_their_distributions():
    noise = SampleNoise(0, "moments", [str(i) for i in range(200)])
    normal, gumbel = noise.normal(500), noise.gumbel(500)
    assert abs(normal.mean()) < 0.01 and abs(normal.std() - 1) < 0.01
    assert abs(gumbel.mean() - 0.5772) < 0.02 and abs(gumbel.var() - torch.pi**2 / 6) < 0.03
    assert gumbel.isfinite().all()


def test_the_global_generator_is_left_alone():
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    SampleNoise(0, "s", ["a"]).normal(100)
    torch.randn(5, generator=generator("x"))
    assert torch.equal(torch.rand(3), expected)
