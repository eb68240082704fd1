"""The shape of params.yaml: its keys, their types and ranges, one section per step. No key has a default.

What two keys together must satisfy is in `consistency`.
"""

import re
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

Source = Literal["digits", "folder", "imglist", "cifar10", "cifar100", "glyphs", "photos", "textures", "noise"]
ShiftKind = Literal["rotation", "blur", "contrast", "noise"]
Architecture = Literal["resnet18", "resnet34", "resnet50", "resnet101"]
Calibrator = Literal["beta", "temperature", "platt", "isotonic"]
BANDS = ("low", "mid", "high")
LONGEST = 64  # characters of a name: it is part of file names

Text = Annotated[str, MinLen(1)]
Natural = Annotated[int, Ge(0), Lt(2**63)]
Count = Annotated[int, Ge(1), Le(10**9)]
Width = Annotated[int, Ge(1), Le(2**14)]  # channels, features, tokens: what a weight or an activation is sized by
ResNetWidth = Annotated[int, Ge(8), Le(2**14)]  # a narrower one cannot be trained channels last (models/resnet.py)
Layers = Annotated[int, Ge(1), Le(1000)]
Pixels = Annotated[int, Ge(8), Le(2**13)]
Timesteps = Annotated[int, Ge(2), Le(10**6)]
Batch = Annotated[int, Ge(2), Le(2**20)]
Odd = Annotated[int, Ge(1), Le(99), AfterValidator(lambda value: _require(value % 2 == 1, value, "an odd number"))]
Number = Annotated[float, Ge(-1e9), Le(1e9)]  # far from where float32 ends
NotNegative = Annotated[float, Ge(0), Le(1e9)]
Positive = Annotated[float, Gt(0), Le(1e9)]
Share = Annotated[float, Ge(0), Le(1)]
ShareBelowOne = Annotated[float, Ge(0), Lt(1)]
ShareAboveZero = Annotated[float, Gt(0), Lt(1)]


def _require(valid: bool, value: Any, allowed: str) -> Any:
    if not valid:
        raise PydanticCustomError("allowed", "must be {allowed}", {"allowed": allowed})
    return value


def _named(pattern: str, characters: str) -> AfterValidator:
    allowed = f"named with {characters} only, {LONGEST} at most"
    return AfterValidator(lambda value: _require(re.fullmatch(pattern, value) is not None and len(value) <= LONGEST, value, allowed))


def _distinct(values: list) -> list:
    return _require(len(set(values)) == len(values), values, "a list without repetitions")


def _bands(value: list[str]) -> list[str]:
    some = all(band in BANDS for band in value) and value == sorted(set(value), key=BANDS.index) and len(value) < len(BANDS)
    return _require(value in (["all"], ["random"]) or some, value, "[all], [random], or one or two of [low, mid, high], in this order")


def _range(value: list[float]) -> list[float]:
    return _require(len(value) == 2 and value[0] <= value[1], value, "[lowest, highest]")


def _ordered(value: list[int]) -> list[int]:
    return _require(len(value) == 2 and value[0] <= value[1], value, "[fewest, most]")


def _interval(value: list[float]) -> list[float]:
    return _require(len(value) == 2 and value[0] < value[1], value, "[lo, hi] with 0 <= lo < hi <= 1")


Name = Annotated[str, _named("[A-Za-z0-9][A-Za-z0-9_-]*", "letters, digits, - and _")]
Item = Annotated[str, _named("[a-z0-9][a-z0-9-]*", "small letters, digits and -")]  # a stage of dvc.yaml, a wildcard of Snakemake
Names = Annotated[list[Text], MinLen(1), AfterValidator(_distinct)]
Range = Annotated[list[Positive], AfterValidator(_range)]
Interval = Annotated[list[Share], AfterValidator(_interval)]
Bands = Annotated[list[Text], MinLen(1), AfterValidator(_bands)]


Template = Annotated[Text, AfterValidator(lambda value: _require(value.count("{}") == 1, value, "text with one {}, the place of the name"))]
Templates = Annotated[list[Template], MinLen(1), AfterValidator(_distinct)]


class Section(BaseModel):
    """A mapping with exactly these keys, of exactly these types; values are attributes, and items too."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)

    def __getitem__(self, key: str) -> Any:
        return getattr(self, key)


class Common(Section):
    seed: Natural
    kernels: Literal["portable", "native"]
    image_size: Pixels


class ImageSource(Section):
    source: Source
    path: Text | None
    root: Text | None
    classes: Names | None


class IdSource(ImageSource):
    val_share: ShareAboveZero
    test_share: ShareAboveZero


class OodSource(ImageSource):
    limit: Count | None


class Shift(Section):
    strengths: Count
    limit: Count | None
    kinds: dict[ShiftKind, Positive]


class Prepare(Section):
    id: IdSource
    near: Annotated[dict[Name, OodSource], MinLen(1)]
    far: Annotated[dict[Name, OodSource], MinLen(1)]
    shift: Shift
    calibration: Annotated[dict[Name, OodSource], MinLen(1)]
    world: dict[Name, OodSource]
    quarantine_limit: Share


class Optimised(Section):
    """What every training loop has."""

    epochs: Count
    batch_size: Batch
    learning_rate: Positive
    weight_decay: NotNegative


class Augment(Section):
    """Random views for contrastive learning."""

    crop_area: Interval
    crop_aspect: Annotated[float, Ge(1)]
    rotation: NotNegative
    flip: bool
    contrast: Share
    brightness: Share
    blur_share: Share
    blur_sigma: Range


class Encoder(Optimised):
    checkpoint: Text | None
    image_size: Pixels
    patch_size: Width
    width: Width
    depth: Layers
    heads: Width
    projection_hidden: Width
    projection: Annotated[Width, Ge(2)]
    warmup_epochs: Natural
    temperature: Positive
    momentum: Share
    augment: Augment
    validate_every: Count
    validate_neighbours: Count


class RepresentationDiffusion(Optimised):
    checkpoint: Text | None
    width: Width
    depth: Layers
    time_width: Width
    timesteps: Timesteps
    beta_start: ShareAboveZero
    beta_end: ShareAboveZero
    ema_decay: ShareBelowOne


class Mage(Optimised):
    checkpoint: Text | None
    vqgan_checkpoint: Text | None
    image_size: Pixels
    patch_size: Width
    codes: Annotated[int, Ge(101), Le(2**20)]  # MAGE's class token is id 1100; ids run to codes + 1000, the mask
    code_width: Width
    vqgan_width: Width
    vqgan_multipliers: Annotated[list[Annotated[int, Ge(1), Le(64)]], MinLen(1), MaxLen(12)]
    vqgan_epochs: Count
    vqgan_learning_rate: Positive
    vqgan_commitment: NotNegative
    width: Width
    depth: Layers
    heads: Width
    decoder_width: Width
    decoder_depth: Layers
    decoder_heads: Width
    warmup_epochs: Natural
    dropout: ShareBelowOne
    label_smoothing: ShareBelowOne
    drop_representation: ShareBelowOne
    mask_mean: Share
    mask_std: Positive
    mask_min: Share


class ResNetRecipe(Optimised):
    """A ResNet and how it is trained."""

    architecture: Architecture
    width: ResNetWidth
    stem_kernel: Odd
    stem_stride: Width
    stem_pool: bool
    momentum: ShareBelowOne
    warmup_epochs: Natural


class Classifier(ResNetRecipe):
    checkpoint: Text | None


class Diffusion(Optimised):
    """A latent diffusion pipeline: autoencoder, UNet and text encoder."""

    pipeline: Text | None
    vae_channels: Annotated[list[Width], MinLen(1), MaxLen(12)]
    latent_channels: Width
    vae_epochs: Count
    vae_batch_size: Batch
    vae_learning_rate: Positive
    vae_kl: NotNegative
    unet_channels: Annotated[list[Width], MinLen(1), MaxLen(12)]
    unet_layers: Layers
    unet_attention: Annotated[list[bool], MinLen(1)]
    unet_head_width: Width
    text_width: Width
    text_layers: Layers
    text_heads: Width
    text_length: Annotated[Width, Ge(3)]
    templates: Templates
    caption_dropout: Share
    timesteps: Timesteps
    beta_start: ShareAboveZero
    beta_end: ShareAboveZero
    ema_decay: ShareBelowOne
    warmup_epochs: Natural
    validate_every: Count
    patience: Count
    sample_steps: Count
    sample_guidance: NotNegative


class Clip(Optimised):
    """A model of images and texts."""

    model: Text | None
    image_size: Pixels
    patch_size: Width
    width: Width
    layers: Layers
    heads: Width
    text_width: Width
    text_layers: Layers
    text_heads: Width
    text_length: Annotated[Width, Ge(3)]
    projection: Annotated[Width, Ge(2)]
    templates: Templates
    temperature: Positive
    warmup_epochs: Natural
    crop_padding: Natural
    validate_every: Count


class Inpainting(Optimised):
    """The UNet of the diffusion pipeline, taught to paint what a mask covers."""

    pipeline: Text | None
    templates: Templates
    whole: Share
    ema_decay: ShareBelowOne
    warmup_epochs: Natural
    caption_dropout: Share
    validate_every: Count
    sample_steps: Count
    sample_guidance: NotNegative


class Pretrain(Section):
    """Each model by the name of its preset; empty where no method of the experiment needs it."""

    encoder: Annotated[dict[Item, Encoder], MaxLen(1)]
    rdm: Annotated[dict[Item, RepresentationDiffusion], MaxLen(1)]
    mage: Annotated[dict[Item, Mage], MaxLen(1)]
    classifier: Annotated[dict[Item, Classifier], MaxLen(1)]
    diffusion: Annotated[dict[Item, Diffusion], MaxLen(1)]
    clip: Annotated[dict[Item, Clip], MaxLen(1)]
    inpainting: Annotated[dict[Item, Inpainting], MaxLen(1)]


class Contexts(Section):
    captioner: Literal["clip", "llava", "file"]
    vocabulary: Text
    template: Template
    labels: Count
    per_class: Count | None
    model: Text | None
    question: Text
    tokens: Count
    path: Text | None


class Negatives(Section):
    vocabulary: Literal["world", "file", "wordnet"]
    path: Text | None
    id_prompt: Template
    noun_prompt: Template
    adjective_prompt: Template
    mcm_prompt: Template
    quantile: Share
    share: Annotated[float, Gt(0), Le(1)]


class Extract(Section):
    """By the names of presets; empty where no method of the experiment needs it."""

    contexts: Annotated[dict[Item, Contexts], MaxLen(1)]
    negatives: Annotated[dict[Item, Negatives], MaxLen(1)]


class BadOod(Section):
    method: ClassVar[str] = "badood"
    guidance: Literal["minority", "gaussian"]
    per_image: Count
    scales: Annotated[list[NotNegative], MinLen(1), AfterValidator(_distinct)]
    t: Count
    stride: Count
    loop: Literal["guided", "single"]
    eta: Share
    last_alpha: Literal["grid", "one"]
    s: Natural
    distance: Literal["l2", "l1", "l2_squared"]
    space: Literal["prev", "eps", "x0"]
    norm: Literal["linf", "l2", "none"]
    variance: bool
    every: Count
    draws: Count
    score_draws: Count
    stop_gradient: bool
    restandardize: bool
    decode_steps: Count
    decode_temperature: NotNegative
    decode_guidance: NotNegative


Ramp = Literal["increase", "decrease", "constant"]


class Strengths(Section):
    """One guidance of GOOD and the strengths that it is sampled at; log f = energy * E + knn * D_k."""

    energy: NotNegative
    knn: NotNegative
    rho: Annotated[list[NotNegative], MinLen(1)]
    mu: Annotated[list[NotNegative], MinLen(1)]
    grid: bool
    gamma: NotNegative
    per_class: Natural


class Good(Section):
    method: ClassVar[str] = "good"
    prompt: Template
    steps: Count
    guidance_scale: NotNegative
    eta: Share
    recurrences: Count
    iterations: Count
    draws: Count
    rho_schedule: Ramp
    mu_schedule: Ramp
    gamma_schedule: Literal["decrease", "constant"]
    clip: Positive | None
    pndm: bool
    knn_k: Count
    knn_log: bool
    classifier_size: Pixels
    classifier_range: Literal["unit", "symmetric"]
    guidances: Annotated[dict[Name, Strengths], MinLen(1)]


class Sona(Section):
    method: ClassVar[str] = "sona"
    edit: Literal["sona", "sega", "sdedit"]
    prompt: Template
    words: Literal["random", "close", "far", "file"]
    word_file: Text | None
    steps: Count
    stop: Annotated[list[Natural], AfterValidator(_ordered)]
    scale: NotNegative
    share: Share
    remove: bool
    keep: bool
    add: bool
    spare: bool
    granularity: Literal["channel", "tensor", "position"]
    warmup: Annotated[list[Natural], AfterValidator(lambda value: _require(len(value) == 3, value, "three numbers of steps"))]
    momentum_scale: NotNegative
    momentum_beta: ShareBelowOne
    text_guidance: NotNegative
    posterior: Literal["mean", "sample"]
    sampler: Literal["ddim", "pndm"]
    splits: Annotated[list[Literal["train", "test"]], MinLen(1), AfterValidator(_distinct)]
    illustrated: Natural


class SynOod(Section):
    method: ClassVar[str] = "synood"
    prompts: ClassVar[str] = "contexts"
    prompt: Template
    characters: Count
    per_class: Count | None
    strength: Annotated[float, Gt(0), Le(1)]
    steps: Count
    guidance_scale: NotNegative
    iterations: Count
    step_size: NotNegative
    loss: Literal["energy", "hinge", "uniform"]
    margin: Number
    temperature: Positive
    sampler: Literal["ddim", "pndm"]
    posterior: Literal["mean", "sample"]
    classifier_size: Pixels
    jpeg: Annotated[int, Ge(1), Le(100)] | None
    splits: Annotated[list[Literal["train", "test"]], MinLen(1), AfterValidator(_distinct)]
    illustrated: Natural


class SynOodNegatives(SynOod):
    """SynOOD prompted by negative labels; with strength 1 and one iteration plain text-to-image."""

    prompts: ClassVar[str] = "negatives"


class Control(Section):
    """What a pipeline's autoencoder keeps of ID images."""

    method: ClassVar[str] = "control"
    pipeline: Literal["diffusion", "inpainting"]
    posterior: Literal["mean", "sample"]
    jpeg: Annotated[int, Ge(1), Le(100)] | None
    splits: Annotated[list[Literal["train", "test"]], MinLen(1), AfterValidator(_distinct)]


class Recipe(ResNetRecipe):
    """A detector and how it is trained."""

    nesterov: bool
    beta: NotNegative
    crop_padding: Natural
    flip: bool


class EnergyRecipe(Recipe):
    """Cross-entropy and the logistic loss of a head on the energy (Bad-OOD eq. 5, GOOD eq. 8)."""

    loss: Literal["energy"]
    outliers_per_id: Positive
    phi_hidden: Width
    phi_monotone: bool
    reduction: Literal["sum_of_means", "mean_of_all"]


class UniformRecipe(Recipe):
    """Cross-entropy, outliers to the uniform distribution, and mutual information of ID and outlier features (SONA eq. 8, 9)."""

    loss: Literal["uniform"]
    paired: bool
    reconstructed: bool
    information: Literal["club", "outer_product", "none"]
    information_weight: NotNegative
    club_hidden: Annotated[Width, Ge(2)]
    club_learning_rate: Positive
    club_steps: Count


class ClipRecipe(Section):
    """A CLIP model with negative labels, as it is or tuned on outliers (SynOOD 3.4, 3.5)."""

    loss: Literal["clip"]
    project: bool
    tune: bool
    strategy: Literal["separate", "projected", "joint"]
    residual: bool
    classes: Literal["all", "matched"]
    orientation: Literal["image", "text"]
    outliers: Count | None
    control: bool
    batch_size: Batch
    project_epochs: Count
    project_learning_rate: Positive
    project_learning_rate_end: NotNegative
    project_weight_decay: NotNegative
    tune_epochs: Count
    tune_learning_rate: Positive
    tune_momentum: ShareBelowOne
    tune_weight_decay: NotNegative
    groups: Count
    temperature: Positive | None
    mcm_temperature: Positive


Recipes = dict[Item, Annotated[EnergyRecipe | UniformRecipe, Field(discriminator="loss")]]


class RecipeKinds(Section):
    """Recipes by what they need beside images and outliers (`equip` provides it)."""

    scratch: Recipes
    classifier: Recipes
    reconstruction: Recipes
    clip: dict[Item, ClipRecipe]
    repainting: dict[Item, ClipRecipe]


class Detector(Section):
    """A synthesiser (`none`: no outliers), which of its candidates, and how a detector learns from them."""

    method: Item
    bands: Bands
    recipe: Item


class Train(Section):
    seeds: Annotated[list[Natural], MinLen(1), AfterValidator(_distinct)]
    recipes: RecipeKinds
    detectors: Annotated[dict[Item, Detector], MinLen(1)]


class Calibrate(Section):
    score: Literal["energy", "phi"]
    calibrator: Calibrator
    bins: Count
    folds: Annotated[int, Ge(2)]


class Filter(Section):
    """Bounds of the mid band, by the calibrated confidence of a detector."""

    judge: Item
    mid: Interval


class Score(Section):
    knn_k: Count
    knn_more: Annotated[list[Count], AfterValidator(_distinct)]
    calibrator: Calibrator


class Unified(Section):
    mode: Literal["per-set", "mixture", "id-only", "fixed"]
    a: NotNegative
    bins: Annotated[int, Ge(2)]
    weight: Share
    a_grid: Annotated[list[NotNegative], MinLen(1), AfterValidator(_distinct)]


class Ablation(Section):
    """Detectors that differ in one thing, by what it is."""

    title: Text
    source: Text
    scores: Annotated[
        list[Literal["energy", "knn", "mcm", "neglabel", "per-set", "mixture", "id-only", "fixed"]], MinLen(1), AfterValidator(_distinct)
    ]
    variants: Annotated[dict[Item, Text], MinLen(1)]


class Recognition(Section):
    classes: Literal["all", "id"]
    recognised: ShareAboveZero
    samples: Count


class Benchmark(Section):
    score: Literal["msp", "max_logit", "energy", "knn", "confidence"]
    clip_score: Literal["msp", "max_logit", "energy", "knn", "confidence", "mcm", "neglabel"]
    bins: Count
    distance_samples: Count
    recognition: Recognition
    unified: Unified
    ablations: dict[Item, Ablation]


class Report(Section):
    gallery: Count


class Synthesize(Section):
    """Methods, and under each its variants by name."""

    badood: dict[Item, BadOod]
    good: dict[Item, Good]
    sona: dict[Item, Sona]
    synood: dict[Item, SynOod]
    negatives: dict[Item, SynOodNegatives]
    control: dict[Literal["reconstruction", "repainting"], Control]


class Experiment(Section):
    """params.yaml as a whole."""

    common: Common
    prepare: Prepare
    pretrain: Pretrain
    extract: Extract
    synthesize: Synthesize
    train: Train
    calibrate: dict[Item, Calibrate]
    filter: dict[Item, Filter]
    score: Score
    benchmark: Benchmark
    report: Report

    @property
    def methods(self) -> dict[str, BadOod | Good | Sona | SynOod]:
        """Every variant of every method that makes outliers, by its name."""
        kinds = ("badood", "good", "sona", "synood", "negatives")
        return {name: variant for kind in kinds for name, variant in self.synthesize[kind].items()}

    @property
    def recipes(self) -> dict[str, Recipe | ClipRecipe]:
        """Every recipe by its name."""
        kinds = self.train.recipes
        return {name: recipe for kind in type(kinds).model_fields for name, recipe in kinds[kind].items()}
