"""Masks and guidance of SONA: shares, disjointness, invariances, the paper's formula, the official warm-up."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from penumbra.guidance.semantic import Edit, blend, guide, masked_terms, region_masks

GRANULARITIES = ("channel", "tensor", "position")
FLAGS = ("remove", "keep", "add", "spare")


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def masks_by_hand(psi, share, granularity):
    """M_S and M_N of one sample [C, h, w], value by value: numpy's quantile, no broadcasting."""
    channels, height, width = psi.shape
    size = np.abs(psi.astype(np.float32))
    if granularity == "position":
        size = np.broadcast_to(size.sum(0), psi.shape)
    semantic, nuisance = np.zeros(psi.shape, bool), np.zeros(psi.shape, bool)
    for c, y, x in itertools.product(range(channels), range(height), range(width)):
        kin = size if granularity == "tensor" else size[c]
        semantic[c, y, x] = size[c, y, x] >= np.quantile(kin, np.float32(1 - share))
        nuisance[c, y, x] = size[c, y, x] < np.quantile(kin, np.float32(share))
    return semantic, nuisance


def formula_by_hand(uncond, cond_id, cond_ood, edit):
    """eps~ of SONA eq. 3-7, value by value."""
    result = np.zeros(uncond.shape)
    for b in range(len(uncond)):
        psi_id, psi_ood = cond_id[b] - uncond[b], cond_ood[b] - uncond[b]
        semantic, nuisance = masks_by_hand(psi_id, edit.share, edit.granularity)
        foreign, _ = masks_by_hand(psi_ood, edit.share, edit.granularity)
        for place in np.ndindex(psi_id.shape):
            delta = 0.0
            if edit.remove and semantic[place]:
                delta -= psi_id[place]
            if edit.keep and nuisance[place]:
                delta += psi_id[place]
            if edit.add and foreign[place] and not (edit.spare and nuisance[place]):
                delta += psi_ood[place]
            result[(b, *place)] = uncond[(b, *place)] + edit.scale * delta
    return result


@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("flags", list(itertools.product([False, True], repeat=4)))
def test_the_guided_noise_is_the_papers_formula_whatever_terms_are_on(granularity, flags):
    edit = Edit(scale=10.0, share=0.2, granularity=granularity, **dict(zip(FLAGS, flags, strict=True)))
    estimates = random(3, 2, 3, 4, 5)
    asked = {name: estimates[1 + ("id", "ood").index(name)] for name in edit.conditions}
    guided = guide(estimates[0], asked, edit, 0, torch.zeros_like(estimates[0]))
    np.testing.assert_allclose(guided.eps, formula_by_hand(*estimates.numpy(), edit), rtol=1e-5, atol=1e-5)


@given(
    arrays(np.float32, (2, 2, 3, 3), elements=st.sampled_from([-2.0, -1.0, 0.0, 0.5, 1.0, 3.0]) | st.floats(-9, 9, width=32)),
    st.floats(0, 0.5),
    st.sampled_from(GRANULARITIES),
)
def test_masks_are_disjoint_up_to_half_each_even_with_ties(psi, share, granularity):
    semantic, nuisance = region_masks(torch.from_numpy(psi), share, granularity)
    assert not (semantic & nuisance).any()


def test_masks_of_more_than_half_overlap():
    semantic, nuisance = region_masks(random(1, 1, 4, 4), 0.6, "channel")
    assert (semantic & nuisance).any()


@pytest.mark.parametrize("share", [0.1, 0.2, 0.25, 0.5])
@pytest.mark.parametrize(("granularity", "dims", "count"), [("channel", (2, 3), 64), ("tensor", (1, 2, 3), 192), ("position", (2, 3), 64)])
def test_masks_hold_exactly_their_share(share, granularity, dims, count):
    semantic, nuisance = region_masks(random(5, 3, 8, 8), share, granularity)
    assert (semantic.sum(dims) == count - math.ceil(round((1 - share) * (count - 1), 6))).all()
    assert (nuisance.sum(dims) == math.ceil(round(share * (count - 1), 6))).all()
    if granularity == "position":
        assert (semantic == semantic[:, :1]).all()
        assert (nuisance == nuisance[:, :1]).all()


def test_a_value_on_the_threshold_is_semantic_and_not_nuisance():
    semantic, nuisance = region_masks(torch.tensor([[[[-3.0, 1.0, 5.0, -2.0, 4.0]]]]), 0.25, "channel")
    assert semantic.flatten().tolist() == [False, False, True, False, True]
    assert nuisance.flatten().tolist() == [False, True, False, False, False]


def test_share_zero_gives_empty_masks():
    assert not torch.stack(region_masks(random(2, 3, 4, 4), 0.0, "channel")).any()


@given(st.floats(0.01, 100), st.floats(0.05, 0.5), st.sampled_from(GRANULARITIES))
def test_masks_do_not_depend_on_the_size_of_psi(factor, share, granularity):
    psi = random(2, 3, 4, 4).double()
    # powers of two, so that scaling rounds nothing
    scaled = region_masks(psi * 2.0 ** round(math.log2(factor)), share, granularity)
    assert torch.equal(torch.stack(scaled), torch.stack(region_masks(psi, share, granularity)))


def test_a_channel_by_itself_is_not_judged_by_a_louder_one():
    psi = random(1, 2, 8, 8)
    louder = psi * torch.tensor([1.0, 1024.0]).view(1, 2, 1, 1)
    assert torch.equal(region_masks(psi, 0.2, "channel")[0], region_masks(louder, 0.2, "channel")[0])
    assert not region_masks(louder, 0.2, "tensor")[0][:, 0].any()


def test_masks_in_half_precision_are_those_of_its_values_in_float32():
    psi = random(2, 3, 8, 8).bfloat16()
    for half, full in zip(region_masks(psi, 0.2, "channel"), region_masks(psi.float(), 0.2, "channel"), strict=True):
        assert torch.equal(half, full)


def test_a_sample_is_masked_whatever_else_is_in_the_batch():
    psi = random(4, 3, 4, 4)
    whole = torch.stack(region_masks(psi, 0.2, "tensor"))
    alone = torch.stack(region_masks(psi[2:3], 0.2, "tensor"))
    assert torch.equal(whole[:, 2:3], alone)


@pytest.mark.parametrize("off", [{"scale": 0.0}, {"share": 0.0}, dict.fromkeys(FLAGS[:3], False)])
def test_without_any_masked_term_nothing_is_asked_and_noise_stays_as_it_is(off):
    edit = Edit(**{"scale": 10.0, "share": 0.2} | off)
    eps = random(2, 3, 4, 4)
    assert edit.conditions == ()
    assert torch.equal(guide(eps, {}, edit, 0, torch.zeros_like(eps)).eps, eps)


def test_empty_masks_guide_nothing_even_if_conditions_are_asked():
    """Text guidance of nought beside masks that hold nothing: psi is there, and adds nothing."""
    estimates = random(3, 2, 3, 4, 4)
    edit = Edit(scale=10.0, share=0.0, text="id", text_guidance=2.0)
    guided = guide(estimates[0], {"id": estimates[1]}, edit, 0, torch.zeros_like(estimates[0]))
    assert torch.equal(guided.eps, estimates[0] + 2.0 * (estimates[1] - estimates[0]))


def test_only_conditions_that_matter_are_asked():
    assert Edit(10.0, 0.2).conditions == ("id", "ood")
    assert Edit(10.0, 0.2, add=False).conditions == ("id",)
    assert Edit(10.0, 0.2, remove=False, keep=False, spare=False).conditions == ("ood",)
    assert Edit(10.0, 0.2, remove=False, keep=False).conditions == ("id", "ood")
    sega = Edit(10.0, 0.2, remove=False, keep=False, spare=False, text="id", text_guidance=7.5)
    assert sega.conditions == ("id", "ood")
    sdedit = Edit(10.0, 0.2, remove=False, keep=False, add=False, spare=False, text="ood", text_guidance=7.5)
    assert sdedit.conditions == ("ood",)


def test_the_ood_mask_spares_the_nuisance():
    psi = {"id": random(3, 4, 8, 8, seed=1), "ood": random(3, 4, 8, 8, seed=2)}
    spared = {name: mask for name, (mask, _) in masked_terms(psi, Edit(1.0, 0.3)).items()}
    full = masked_terms(psi, Edit(1.0, 0.3, spare=False))["add"][0]
    assert not (spared["add"] & spared["keep"]).any()
    assert torch.equal(spared["add"] | (full & spared["keep"]), full)
    assert (full & spared["keep"]).any()


def official_deltas(stop):
    """Per executed step, what constant psi of 1 (ID) and 4 (OOD) add under the official warm-up, without momentum."""
    edit = Edit(scale=1.0, share=0.5, warmup=(20, 10, 10))
    unconditional = torch.zeros(1, 1, 1, 2)
    # the left value is nuisance (0 < 1) and the right semantic, of both conditions
    conditional = {"id": torch.tensor([[[[0.25, 1.0]]]]), "ood": torch.tensor([[[[0.5, 4.0]]]])}
    return [guide(unconditional, conditional, edit, step, torch.zeros(1, 1, 1, 2)).eps.flatten().tolist() for step in range(stop)]


@pytest.mark.parametrize("stop", [1, 10])
def test_up_to_ten_steps_the_official_preset_guides_nothing(stop):
    assert official_deltas(stop) == [[0.0, 0.0]] * stop


@pytest.mark.parametrize("stop", [11, 15, 20])
def test_up_to_twenty_steps_the_official_preset_removes_and_adds_at_half_weight(stop):
    assert official_deltas(stop)[10:] == [[0.0, (-1.0 + 4.0) / 2]] * (stop - 10)


def test_from_the_twenty_first_step_on_the_official_preset_is_the_papers_formula():
    assert official_deltas(50)[20:] == [[0.25, -1.0 + 4.0]] * 30


def test_momentum_accumulates_from_the_first_step_and_enters_when_all_are_warm():
    terms, scale, beta = [torch.full((1,), 2.0), torch.full((1,), 6.0)], 0.3, 0.6
    momentum, expected = torch.zeros(1), 0.0
    for step in range(8):
        guidance, momentum = blend(terms, [step >= 5, step >= 2], momentum, scale, beta)
        total = 2.0 + 6.0 + scale * expected
        expected = beta * expected + (1 - beta) * total
        assert momentum.item() == pytest.approx(expected)
        if step < 2:
            assert guidance is None
        else:
            assert guidance.item() == pytest.approx(6.0 if step < 5 else total)
