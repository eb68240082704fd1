"""conf/ablations/badood-decoders.yaml, the presets of what it asks for, and what their parameters must not say."""

from pathlib import Path

import pytest
from params_content import changed, lookup, refusal

from penumbra.experiment.load import typed
from penumbra.workflow.composition import compose

CONF = Path(__file__).parents[2] / "conf"
CONTENT = compose(CONF, ["experiment=digits", "+ablations=badood-decoders"])
PLAIN = compose(CONF, ["experiment=digits"])


def test_the_overlay_adds_two_decoders_and_nothing_of_the_experiment_is_another():
    found = typed(CONTENT, "params.yaml")
    assert {name: (method.of, method.decoder) for name, method in found.synthesize.decoded.items()} == {
        "badood-ldm": ("badood", "ldm"),
        "badood-dit": ("badood", "dit"),
    }
    assert {found.train.detectors[f"badood{each}-all"].recipe for each in ("", "-ldm", "-dit")} == {"energy"}
    without = changed(dict.fromkeys(("pretrain.ldm", "pretrain.dit", "synthesize.decoded", "benchmark.ablations"), {}), CONTENT)
    for place in ("train.detectors", "filter"):
        added = set(lookup(without, place)) - set(lookup(PLAIN, place))
        assert added and all("ldm" in name or "dit" in name for name in added)
        without = changed(dict.fromkeys((f"{place}.{name}" for name in added), ...), without)
    assert without == PLAIN


@pytest.mark.parametrize("kind", ["ldm", "dit"])
def test_a_decoder_of_the_published_size_is_valid(kind):
    content = compose(CONF, ["experiment=digits", "+ablations=badood-decoders", f"pretrain/{kind}=published", "common.image_size=256"])
    assert refusal(content) == [] and content["pretrain"][kind]["rcg"]["pipeline"] is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"synthesize.decoded.badood-ldm.of": "sona"}, 'badood-ldm.of = "sona": must be one of badood, badood-gaussian'),
        ({"synthesize.decoded.badood-ldm.decoder": "mage"}, "badood-ldm.decoder = \"mage\": must be 'ldm' or 'dit'"),
        ({"synthesize.decoded.badood-ldm.scales": [0.1]}, "badood-ldm.scales: unknown key"),
        ({"pretrain.dit": {}}, "pretrain.dit: must have an entry, since synthesize.decoded.badood-dit has one"),
        ({"pretrain.encoder": {}}, "pretrain.encoder: must have an entry, since pretrain.ldm has one"),
        ({"pretrain.ldm.rcg.channels": [32, 40]}, "rcg.channels = [32, 40]: must be a multiple of 16 (pretrain.ldm.rcg.head_width)"),
        ({"pretrain.ldm.rcg.channels": [32] * 5}, "must halve the side of the latents, 8, without a rest between two levels"),
        ({"pretrain.dit.rcg.patch_size": 3}, "rcg.patch_size = 3: must divide 8, the side of the latents"),
        ({"pretrain.dit.rcg.width": 98, "pretrain.dit.rcg.heads": 3}, "rcg.width = 98: must be a multiple of 3 (pretrain.dit.rcg.heads)"),
        ({"pretrain.dit.rcg.width": 6, "pretrain.dit.rcg.heads": 1}, "rcg.width = 6: must be a multiple of 4 (sine and cosine"),
        ({"pretrain.dit.rcg.warmup_epochs": 99}, "rcg.warmup_epochs = 99: must be in 0.."),
        ({"pretrain.dit.rcg.drop_representation": 1.0}, "rcg.drop_representation = 1.0: must be below 1"),
        ({"synthesize.decoded.badood": CONTENT["synthesize"]["decoded"]["badood-ldm"]}, "badood: must have a name of its own"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_what_is_impossible_is_refused_by_its_key(changes, expected):
    (line, *_) = [line for line in refusal(changed(changes, CONTENT)) if expected in line] or [refusal(changed(changes, CONTENT))]
    assert expected in line


def test_one_decoder_needs_the_other_not():
    gone = ("synthesize.decoded.badood-ldm", "filter.badood-ldm", "train.detectors.badood-ldm-all")
    variants = {"badood-all": "MAGE", "badood-dit-all": "DiT"}
    changes = {"pretrain.ldm": {}, "benchmark.ablations.badood-decoders.variants": variants} | dict.fromkeys(gone, ...)
    assert refusal(changed(changes, CONTENT)) == []
