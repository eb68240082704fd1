"""Names, and what entries need of each other: an entry that lacks its counterpart is refused, and one that has it is not."""

import json

import pytest
from params_content import CONTENT, changed, refusal

CALIBRATE, FILTER = CONTENT["calibrate"]["none"], CONTENT["filter"]["badood"]
DETECTOR = CONTENT["train"]["detectors"]["badood-all"]
GOOD, SYNOOD, CONTROL = (CONTENT["synthesize"][kind][name] for kind, name in (("good",) * 2, ("synood",) * 2, ("control", "repainting")))
CLIP_CONTROL = CONTENT["train"]["recipes"]["clip"]["synood"] | {"control": True}
ODIN = {"score": "odin", "temperature": 1000, "noise": 0.0014}
IMPOSSIBLE = [
    # judges
    ({"filter.dream": FILTER}, "filter.dream: must be named as a method of synthesize: badood, badood-gaussian, good, sona, synood"),
    ({"filter.none": FILTER}, "filter.none: must be named as a method of synthesize"),
    ({"filter.reconstruction": FILTER}, "filter.reconstruction: must be named as a method of synthesize"),
    ({"calibrate.dream": CALIBRATE}, "calibrate.dream: must be named as a detector: none, badood-all"),
    ({"calibrate.clip": CALIBRATE}, "calibrate.clip: must be a network that is trained on images"),
    ({"filter.sona.judge": "good-all"}, 'filter.sona.judge = "good-all": must be one of none'),
    ({"calibrate": {}}, 'filter.badood.judge = "none": must be one of calibrate, which is empty'),
    (
        {"calibrate.badood-mid": CALIBRATE, "filter.badood.judge": "badood-mid"},
        'filter.badood.judge = "badood-mid": must not learn from bands of the candidates that it judges',
    ),
    (
        {"filter.badood.sees": "twin"},
        'filter.badood.sees = "twin": must not be there: badood is not moved (toward), so its candidates have no twins',
    ),
    # detectors
    *(
        (
            {"train.detectors.badood-mid.bands": bands},
            f"train.detectors.badood-mid.bands = {json.dumps(bands)}: must be [all], [kept], [random], [upper], [third], or",
        )
        for bands in (["middle"], ["mid", "low"], ["mid", "mid"], ["low", "mid", "high"], ["random", "high"], ["mid", "upper"])
    ),
    ({"train.detectors.badood-mid.bands": []}, "train.detectors.badood-mid.bands = []: must be a list or section of 1 at least"),
    ({"train.detectors.badood-mid.bands": "all"}, 'train.detectors.badood-mid.bands = "all": must be a list'),
    ({"train.detectors.badood-mid.bands": None}, "train.detectors.badood-mid.bands = null: must be a list"),
    (
        {"train.detectors.good-all.method": "dream"},
        'train.detectors.good-all.method = "dream": must be one of none, badood, badood-gaussian',
    ),
    ({"train.detectors.good-all.method": "repainting"}, 'train.detectors.good-all.method = "repainting": must be one of none'),
    (
        {"filter.badood-gaussian": ...},
        'train.detectors.badood-gaussian-mid.bands = ["mid"]: must be [all]: filter.badood-gaussian gives no',
    ),
    ({"train.detectors.none.bands": ["mid"]}, 'train.detectors.none.bands = ["mid"]: must be [all]: filter.none gives no bounds'),
    ({"train.detectors.none.recipe": "synood"}, 'train.detectors.none.method = "none": must not be none: recipe synood learns from labels'),
    ({"train.detectors.clip.method": "synood"}, 'train.detectors.clip.method = "synood": must be none: recipe zero-shot trains nothing'),
    ({"train.detectors.reconstruction": DETECTOR}, "train.detectors.reconstruction: must not be named like a control"),
    # figures
    (
        {"benchmark.guided": {"strengths": ["good"], "gammas": ["god"], "features": [], "points": 9}},
        'benchmark.guided.gammas = ["god"]: must be of synthesize.good (good); there is no god',
    ),
    (
        {"benchmark.guided": {"strengths": [], "gammas": [], "features": ["good"], "points": 9}},
        'benchmark.guided.features = ["good"]: must be variants with features: true; good keeps none',
    ),
    # what an entry needs
    ({"pretrain.mage": {}}, "pretrain.mage: must have an entry, since synthesize.badood has one"),
    ({"pretrain.encoder": {}}, "pretrain.encoder: must have an entry, since pretrain.rdm has one"),
    ({"pretrain.diffusion": {}}, "pretrain.diffusion: must have an entry, since synthesize.control.reconstruction has one"),
    ({"pretrain.inpainting": {}}, "pretrain.inpainting: must have an entry, since synthesize.control.repainting has one"),
    ({"pretrain.classifier": {}}, "pretrain.classifier: must have an entry, since train.recipes.classifier has one"),
    ({"pretrain.clip": {}}, "pretrain.clip: must have an entry, since extract.contexts has one"),
    ({"extract.contexts": {}}, "extract.contexts: must have an entry, since synthesize.synood has one"),
    ({"extract.negatives": {}}, "extract.negatives: must have an entry, since train.recipes.clip has one"),
    ({"extract.negatives": {}, "synthesize.negatives.text": SYNOOD}, "extract.negatives: must have an entry, since synthesize.negatives"),
    (
        {"synthesize.control.reconstruction": ...},
        "synthesize.control.reconstruction: must have an entry, since train.recipes.reconstruction",
    ),
    (
        {"synthesize.control.repainting": ..., "train.recipes.repainting.other": CLIP_CONTROL},
        "synthesize.control.repainting: must have an entry, since train.recipes.repainting has one",
    ),
    # names
    ({"synthesize.good.sona": GOOD}, "synthesize.sona.sona: must have a name of its own: another kind"),
    (
        {"synthesize.synood.none": SYNOOD},
        "synthesize.synood.none: must have a name of its own: another kind, or the method without outliers",
    ),
    ({"synthesize.badood.reconstruction": {"like": "badood"}}, "synthesize.control.reconstruction: must have a name of its own"),
    ({"synthesize.badood.good": {"like": "badood"}}, "synthesize.good.good: must have a name of its own"),
    ({"synthesize.synood.badood": {"like": "synood"}}, "synthesize.synood.badood: must have a name of its own"),
    ({"train.recipes.clip.energy": {"like": "synood"}}, "train.recipes.clip.energy: must have a name of its own"),
    ({"synthesize.control.other": CONTROL}, "synthesize.control.other: must be named 'reconstruction' or 'repainting'"),
    *(
        ({f"{place}.{name}": content}, f"{place}.{name}: must be named with small letters, digits and - only, 64 at most")
        for place, content in (
            ("synthesize.sona", {"like": "sona"}),
            ("train.recipes.scratch", {"like": "energy"}),
            ("train.detectors", DETECTOR),
            ("calibrate", CALIBRATE),
            ("filter", FILTER),
        )
        for name in ("x; touch y", "../x", "a/b", "$(id)", "Mid", "-rf", "a b", "é", "a" * 65)
    ),
    ({"pretrain.encoder": {"../x": CONTENT["pretrain"]["encoder"]["moco"]}}, "pretrain.encoder.../x: must be named with small letters"),
    ({"synthesize.sona.": {"like": "sona"}}, "synthesize.sona.: must be named with small letters"),
    ({"prepare.far.x; touch y": CONTENT["prepare"]["far"]["noise"]}, "prepare.far.x; touch y: must be named with letters, digits, - and _"),
    ({"synthesize.sona.a\nb": {"like": "sona"}}, 'synthesize.sona."a\\nb": must be named with small letters'),
]


@pytest.mark.parametrize(("changes", "line"), IMPOSSIBLE, ids=lambda value: next(iter(value)) if isinstance(value, dict) else "")
def test_an_impossible_combination_is_refused(changes, line):
    assert any(found.startswith(f"params.yaml: {line}") for found in refusal(changed(changes)))


@pytest.mark.parametrize(
    "changes",
    [
        {"synthesize.badood.badood.t": 999, "synthesize.badood.badood.s": 0, "synthesize.badood.badood.stride": 999},
        {"synthesize.badood.still": {"like": "badood", "guidance": "none", "t": 0}},
        {"synthesize.badood.toward": {"like": "badood", "toward": 0.1}, "filter.toward": FILTER | {"sees": "twin"}},
        {"synthesize.badood.toward": {"like": "badood", "toward": -1}, "filter.toward": FILTER},
        {"train.recipes.scratch.energy.flip": True},
        {"train.recipes.scratch.energy.beta": 2},
        {"prepare.near.mnist-6-9.limit": 5, "prepare.id.classes": ["0", "1"]},
        *({"train.detectors.badood-mid.bands": bands} for bands in (["all"], ["kept"], ["low"], ["low", "high"], ["upper"], ["third"])),
        {"train.detectors.clip-synood.bands": ["mid"]},
        {"train.detectors.clip-synood.method": "sona", "train.detectors.good-all.recipe": "energy"},
        {"calibrate.synood-all": CALIBRATE, "filter.badood.judge": "synood-all"},
        {"calibrate.badood-mid": CALIBRATE, "filter.sona.judge": "badood-mid"},
        {"train.recipes.repainting.other": CLIP_CONTROL},
        {"train.recipes.reconstruction.sona.reconstructed": False},
        {"synthesize.synood.synood.per_class": None, "extract.contexts.tags.per_class": None},
        {"synthesize.negatives.text": SYNOOD | {"splits": ["train", "test"]}},
        {"prepare.id.source": "folder", "prepare.id.path": "/images", "prepare.id.classes": None},
        {"rerun": {"detectors": ["none"], "scores": {"odin": ODIN, "still": {"like": "odin", "noise": 0}}}},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_is_possible_is_accepted(changes):
    assert refusal(changed(changes)) == []
