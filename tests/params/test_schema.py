"""params.yaml is refused at once, one line per problem, for anything that it must not say."""

import copy
import json
import subprocess
import sys
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penumbra.differences import expand
from penumbra.errors import PenumbraError
from penumbra.params import known_leaves, load, validate

PARAMS = Path(__file__).parents[2] / "params.yaml"
CONTENT = load(PARAMS)


def lookup(content: dict, key: str):
    for part in key.split("."):
        content = content[part]
    return content


LEAVES = known_leaves(CONTENT)
SECTIONS = sorted({leaf.rsplit(".", depth)[0] for leaf in LEAVES for depth in range(1, leaf.count(".") + 1)})
FREE = {  # sections whose keys are not prescribed
    *(f"prepare.{group}" for group in ("near", "far", "calibration", "world", "shift.kinds")),
    *("synthesize", "synthesize.good.guidances", "train.recipes", "benchmark.ablations", "train.detectors", "calibrate", "filter"),
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
}
SLOW_FILES = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def changed(changes: dict[str, object]) -> dict:
    """The committed parameters with some keys set; `...` drops a key."""
    content = copy.deepcopy(CONTENT)
    for key, value in changes.items():
        *parents, last = key.split(".")
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
    assert validate(PARAMS) == expand(CONTENT)


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
    section = {("epoch" if key == "epochs" else key): value for key, value in CONTENT["pretrain"]["rdm"].items()}
    assert refusal(tmp_path, changed({"pretrain.rdm": section})) == ["params.yaml: pretrain.rdm.epoch: unknown key; did you mean epochs?"]


def test_every_problem_has_its_own_line(tmp_path):
    lines = refusal(tmp_path, changed({"common.seed": -1, "score.calibrator": "spline", "train.recipes.energy.flip": "no"}))
    assert lines == [
        "params.yaml: common.seed = -1: must be at least 0",
        'params.yaml: train.recipes.energy.flip = "no": must be true or false',
        "params.yaml: score.calibrator = \"spline\": must be 'beta', 'temperature', 'platt' or 'isotonic'",
    ]


IMPOSSIBLE = [
    ({"common.seed": 0.5}, "common.seed = 0.5: must be a whole number"),
    ({"synthesize.badood.t": 1200}, "synthesize.badood.t = 1200: must be in 1..999"),
    ({"synthesize.badood.s": 1000}, "synthesize.badood.s = 1000: must be in 0..999"),
    ({"synthesize.badood.stride": 301}, "synthesize.badood.stride = 301: must be in 1..300"),
    ({"pretrain.rdm.timesteps": 250}, "synthesize.badood.t = 300: must be in 1..249"),
    ({"pretrain.rdm.beta_start": 0.5}, "pretrain.rdm.beta_end"),
    ({"pretrain.encoder.heads": 7, "pretrain.encoder.width": 96}, "pretrain.encoder.width = 96: must be a multiple of 7"),
    ({"pretrain.encoder.patch_size": 5, "pretrain.encoder.image_size": 32}, "pretrain.encoder.image_size = 32: must be a multiple of 5"),
    ({"pretrain.mage.decoder_heads": 7, "pretrain.mage.decoder_width": 96}, "pretrain.mage.decoder_width = 96: must be a multiple of 7"),
    (
        {"pretrain.mage.image_size": 18, "pretrain.mage.vqgan_multipliers": [1, 1, 1]},
        "pretrain.mage.image_size = 18: must be a multiple of 4",
    ),
    (
        {"pretrain.mage.vqgan_width": 18},
        "pretrain.mage.vqgan_width = 18: must give every level of vqgan_multipliers a multiple of 4 channels",
    ),
    ({"pretrain.mage.codes": 100}, "pretrain.mage.codes = 100: must be at least 101"),
    ({"pretrain.encoder.warmup_epochs": 1000}, "pretrain.encoder.warmup_epochs = 1000: must be in 0.."),
    ({"train.recipes.energy.warmup_epochs": 99}, "train.recipes.energy.warmup_epochs = 99: must be in 0.."),
    ({"train.recipes.energy.crop_padding": 32}, "train.recipes.energy.crop_padding = 32: must be below 32"),
    ({"train.seeds": []}, "train.seeds = []: must be a list or section of 1 at least"),
    ({"train.seeds": [1, 1]}, "train.seeds = [1, 1]: must be a list without repetitions"),
    ({"train.recipes.energy.architecture": "resnet9"}, "train.recipes.energy.architecture"),
    ({"train.recipes.energy.width": 4}, "train.recipes.energy.width = 4: must be at least 8"),
    ({"pretrain.classifier.width": 7}, "pretrain.classifier.width = 7: must be at least 8"),
    ({"train.recipes.energy.stem_kernel": 4}, "train.recipes.energy.stem_kernel = 4: must be an odd number"),
    ({"filter.badood.mid": [0.5, 0.3]}, "filter.badood.mid = [0.5, 0.3]: must be [lo, hi] with 0 <= lo < hi <= 1"),
    ({"filter.badood.mid": [0.5, 1.3]}, "filter.badood.mid[1] = 1.3: must be at most 1"),
    ({"filter.badood.mid": [0.5]}, "filter.badood.mid = [0.5]: must be [lo, hi]"),
    ({"filter.dream": {"mid": [0.3, 0.5]}}, "filter.dream: must be named as a method of synthesize"),
    ({"calibrate.dream": CONTENT["calibrate"]["badood"]}, "calibrate.dream: must have its initial detector, train.detectors.dream-all"),
    ({"train.detectors.badood-mid.bands": ["middle"]}, "train.detectors.badood-mid.bands"),
    ({"train.detectors.dream-mid": {"recipe": "energy", "bands": ["mid"]}}, "train.detectors.dream-mid: must be named METHOD-SELECTION"),
    ({"filter.badood-gaussian": ...}, "train.detectors.badood-gaussian-mid.bands"),
    ({"prepare.id.classes": ["0"]}, 'prepare.id.classes = ["0"]: must name two classes'),
    ({"prepare.near.digits-6-9.classes": ["5", "6"]}, "prepare.near.digits-6-9.classes"),
    ({"prepare.near.digits-6-9.classes": None}, "prepare.near.digits-6-9.classes"),
    ({"prepare.world.glyphs.classes": ["A"]}, "prepare.world.glyphs.classes"),
    ({"prepare.id.val_share": 0.75}, "prepare.id.test_share = 0.25: must be below 0.25"),
    ({"prepare.id.source": "folder"}, "prepare.id.path = null: must be where the images of source folder lie"),
    ({"prepare.far.digits-6-9": CONTENT["prepare"]["near"]["digits-6-9"]}, "prepare.far.digits-6-9: must have another name"),
    ({"prepare.near": {}}, "prepare.near: must be a list or section of 1 at least"),
    ({"prepare.near": {"a.b": CONTENT["prepare"]["far"]["noise"]}}, "prepare.near.a.b: must be named with letters, digits, - and _ only"),
    (
        {"train.detectors.Mid": {"recipe": "energy", "bands": None}},
        "train.detectors.Mid: must be named with small letters, digits and - only",
    ),
    ({"benchmark.ablations.sona-words.variants": {"dream-all": "dream"}}, "benchmark.ablations.sona-words.variants.dream-all"),
    ({"synthesize.sona-far.like": "dream"}, 'synthesize.sona-far.like = "dream": must be one of badood, '),
    ({"synthesize.sona-far.words": "dream"}, "synthesize.sona-far.words"),
    ({"synthesize.good.method": "dream"}, "synthesize.good.method = \"dream\": must be one of 'badood', 'good', 'sona', 'synood'"),
    ({"synthesize.good.guidances.image.rho": []}, "synthesize.good.guidances.image.rho = []: must be a list or section of 1 at least"),
    ({"synthesize.good.guidances.feature.rho": [1.0]}, "synthesize.good.guidances.feature.mu"),
    ({"synthesize.good.guidances.feature.knn": 0.0}, "synthesize.good.guidances.feature.energy = 0.0: must be above 0, or knn must"),
    ({"synthesize.good.prompt": "an image"}, 'synthesize.good.prompt = "an image": must be text with one {}'),
    ({"synthesize.sona.stop": [1, 99]}, "synthesize.sona.stop = [1, 99]: must lie in 0.."),
    ({"synthesize.sona.stop": [3, 1]}, "synthesize.sona.stop = [3, 1]: must be [fewest, most]"),
    ({"synthesize.sona.share": 0.6}, "synthesize.sona.share = 0.6: must be at most 0.5"),
    ({"synthesize.sona.words": "file"}, "synthesize.sona.word_file = null: must name a file"),
    ({"train.recipes.sona.loss": "hinge"}, "train.recipes.sona.loss = \"hinge\": must be one of 'energy', 'uniform', 'clip'"),
    ({"pretrain.clip.heads": 5}, "pretrain.clip.width = 64: must be a multiple of 5"),
    ({"pretrain.clip.crop_padding": 32}, "pretrain.clip.crop_padding = 32: must be below 32"),
    ({"extract.contexts.captioner": "llava"}, "extract.contexts.model = null: must name a LLaVA model"),
    ({"extract.contexts.path": "mine.csv"}, 'extract.contexts.path = "mine.csv": must name a table where captioner is file'),
    ({"extract.negatives.vocabulary": "wordnet"}, "extract.negatives.path = null: must name where the words lie"),
    ({"extract.negatives.share": 0.0}, "extract.negatives.share = 0.0: must be above 0"),
    ({"synthesize.synood.per_class": 51}, "synthesize.synood.per_class = 51: must not exceed 50 (extract.contexts.per_class)"),
    ({"synthesize.synood.splits": ["train", "test"]}, 'synthesize.synood.splits = ["train", "test"]: must be [train]'),
    ({"synthesize.synood.strength": 0.01}, "synthesize.synood.strength = 0.01: must leave one of 20 steps"),
    ({"train.detectors.clip-synood.recipe": "energy"}, 'train.detectors.clip-synood.recipe = "energy": must have loss clip'),
    ({"train.detectors.none.recipe": "zero-shot"}, 'train.detectors.none.recipe = "zero-shot": must have loss clip'),
    ({"train.detectors.clip.bands": "all"}, 'train.detectors.clip.bands = "all": must be null where the recipe'),
    ({"train.detectors.clip-synood.bands": ["mid"]}, "train.detectors.clip-synood.bands"),
    ({"train.detectors.good-all.recipe": "gold"}, 'train.detectors.good-all.recipe = "gold": must be one of energy, good, sona'),
    ({"pretrain.diffusion.text_heads": 3}, "pretrain.diffusion.text_width"),
    ({"pretrain.diffusion.unet_channels": [32, 32, 32, 32, 32, 32]}, "common.image_size = 32: must be a multiple of 128"),
    ({"prepare.shift.kinds.warp": 1.0}, "prepare.shift.kinds.warp: must be named 'rotation', 'blur', 'contrast' or 'noise'"),
]


@pytest.mark.parametrize(("changes", "line"), IMPOSSIBLE, ids=lambda value: next(iter(value)) if isinstance(value, dict) else "")
def test_an_impossible_combination_is_refused(tmp_path, changes, line):
    assert any(found.startswith(f"params.yaml: {line}") for found in refusal(tmp_path, changed(changes)))


@pytest.mark.parametrize(
    "changes",
    [
        {"synthesize.badood.t": 999, "synthesize.badood.s": 0, "synthesize.badood.stride": 999},
        {"train.recipes.energy.flip": True},
        {"train.recipes.energy.beta": 2},
        {"prepare.near.digits-6-9.limit": 5, "prepare.id.classes": ["0", "1"]},
        {"train.detectors.badood-mid.bands": "all"},
        {"synthesize.synood.per_class": None, "extract.contexts.per_class": None},
        {"synthesize.synood.splits": ["train", "test"], "synthesize.synood.prompts": "negatives"},
        {"prepare.id.source": "folder", "prepare.id.path": "/images", "prepare.id.classes": None},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_is_possible_is_accepted(tmp_path, changes):
    assert refusal(tmp_path, changed(changes)) == []


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("common: {seed: 0", "params.yaml line 1: cannot be read as YAML"),
        ("common: {seed: 0}\ncommon: {seed: 1}", "params.yaml line 2: cannot be read as YAML: found duplicate key"),
        ("- 1", "params.yaml: must be a mapping"),
        ("", "params.yaml: must be a mapping"),
    ],
)
def test_a_broken_file_is_one_line_with_its_place(tmp_path, text, line):
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(PenumbraError) as error:
        validate(tmp_path / "params.yaml")
    assert str(error.value).startswith(line)
    assert "\n" not in str(error.value)


def test_a_missing_file_says_where_to_run(tmp_path):
    with pytest.raises(PenumbraError, match="does not exist. Run from the root"):
        validate(tmp_path / "params.yaml")


def test_leaves_are_values_lists_and_empty_sections():
    assert known_leaves({"a": {"b": 1, "c": {"d": [1, 2], "e": {}}}, "f": None}) == ["a.b", "a.c.d", "a.c.e", "f"]


def test_validation_imports_nothing_heavy():
    code = "import sys, penumbra.params; print(*{'torch', 'dvc', 'snakemake', 'numpy', 'pandas'} & sys.modules.keys())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""
