"""What a value of params.yaml can be: the types and ranges of which the sections of all steps are made."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, Union, get_args

from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Tag, create_model
from pydantic_core import PydanticCustomError

if TYPE_CHECKING:
    from penumbra.experiment.schema import Experiment


Architecture = Literal["resnet18", "resnet34", "resnet50", "resnet101"]
Calibrator = Literal["beta", "temperature", "platt", "isotonic"]
BANDS = ("low", "mid", "high")
READINGS = ("upper", "third")  # other candidates that "mid" may mean; they lie across the bands
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
Odd = Annotated[int, Ge(1), Le(99), AfterValidator(lambda value: require(value % 2 == 1, value, "an odd number"))]
Number = Annotated[float, Ge(-1e9), Le(1e9)]  # far from where float32 ends
NotNegative = Annotated[float, Ge(0), Le(1e9)]
Positive = Annotated[float, Gt(0), Le(1e9)]
Share = Annotated[float, Ge(0), Le(1)]
ShareBelowOne = Annotated[float, Ge(0), Lt(1)]
ShareAboveZero = Annotated[float, Gt(0), Lt(1)]


def require(valid: bool, value: Any, allowed: str) -> Any:
    if not valid:
        raise PydanticCustomError("allowed", "must be {allowed}", {"allowed": allowed})
    return value


def named(pattern: str, characters: str) -> AfterValidator:
    allowed = f"named with {characters} only, {LONGEST} at most"
    return AfterValidator(lambda value: require(re.fullmatch(pattern, value) is not None and len(value) <= LONGEST, value, allowed))


def distinct(values: list) -> list:
    twice = [value for value, times in Counter(values).items() if times > 1]
    return require(not twice, values, f"a list without repetitions; {' and '.join(map(str, twice[:2]))} stand there more than once")


def _line(value: str) -> str:
    return require(value.isprintable() and value == value.strip(), value, "one line of printable text without blanks around it")


def _sha256(value: str) -> str:
    return require(re.fullmatch("[0-9a-f]{64}", value) is not None, value, "64 hexadecimal digits, as `sha256sum` prints them")


def _network(value: str, *more: str) -> str:
    known = value in ("efficientnet-lite0", *more) or re.fullmatch(r"(torchvision|timm)/[A-Za-z0-9_.-]+", value) is not None
    return require(known, value, f"one of {', '.join(get_args(Architecture))}, efficientnet-lite0, torchvision/NAME or timm/NAME")


def bands(value: list[str]) -> list[str]:
    some = all(band in BANDS for band in value) and value == sorted(set(value), key=BANDS.index) and len(value) < len(BANDS)
    alone = [[name] for name in ("all", "kept", "random", *READINGS)]
    allowed = "[all], [kept], [random], [upper], [third], or one or two of [low, mid, high], in this order"
    return require(value in alone or some, value, allowed)


def lowest_highest(value: list[float]) -> list[float]:
    return require(len(value) == 2 and value[0] <= value[1], value, "[lowest, highest]")


def ordered(value: list[int]) -> list[int]:
    return require(len(value) == 2 and value[0] <= value[1], value, "[fewest, most]")


def interval(value: list[float]) -> list[float]:
    return require(len(value) == 2 and value[0] < value[1], value, "[lo, hi] with 0 <= lo < hi <= 1")


OtherArchitecture = Annotated[Text, AfterValidator(_network)]  # models/classifiers
AnyArchitecture = Annotated[Text, AfterValidator(lambda value: _network(value, *get_args(Architecture)))]
Name = Annotated[str, named("[A-Za-z0-9][A-Za-z0-9_-]*", "letters, digits, - and _")]
Item = Annotated[str, named("[a-z0-9][a-z0-9-]*", "small letters, digits and -")]  # a stage of dvc.yaml, a wildcard of Snakemake
Line = Annotated[Text, AfterValidator(_line)]
Sha256 = Annotated[Text, AfterValidator(_sha256)]
Names = Annotated[list[Line], MinLen(1), AfterValidator(distinct)]
Range = Annotated[list[Positive], AfterValidator(lowest_highest)]
Interval = Annotated[list[Share], AfterValidator(interval)]
Bands = Annotated[list[Text], MinLen(1), AfterValidator(bands)]
Template = Annotated[Text, AfterValidator(lambda value: require(value.count("{}") == 1, value, "text with one {}, the place of the name"))]
Templates = Annotated[list[Template], MinLen(1), AfterValidator(distinct)]


class Section(BaseModel):
    """A mapping with exactly these keys, of exactly these types; values are attributes, and items too."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)

    def __getitem__(self, key: str) -> Any:
        return getattr(self, key)


T = TypeVar("T")
PLAIN, HASHED = "as it is", "with its hash"
ONE, SEVERAL = "one value", "a list of values"
OURS, OTHER = "one of our ResNets", "another classifier"
STILL, MOVED = "left where it is", "moved before it is decoded"
TAGS = (PLAIN, HASHED, ONE, SEVERAL, OURS, OTHER, STILL, MOVED)  # of alternatives that no key of params.yaml names
OneOrSeveral = Annotated[
    Union[Annotated[T, Tag(ONE)], Annotated[list[T], MinLen(1), AfterValidator(distinct), Tag(SEVERAL)]],  # noqa: UP007
    Discriminator(lambda value: SEVERAL if isinstance(value, list) else ONE),
]


def swept(parameters: type[Section]) -> type[Section]:
    """The type of entries that may list values: each key but `score` takes one, or a list without repetitions."""
    fields = {
        key: (field.rebuild_annotation() if key == "score" else OneOrSeveral[field.rebuild_annotation()], ...)
        for key, field in parameters.model_fields.items()
    }
    return create_model(parameters.__name__, __base__=Section, __module__=__name__, **fields)


class Optimised(Section):
    """What every training loop has."""

    epochs: Count
    batch_size: Batch
    learning_rate: Positive
    weight_decay: NotNegative


class ResNetSizes(Section):
    """One of our ResNets."""

    architecture: Architecture
    width: ResNetWidth
    stem_kernel: Odd
    stem_stride: Width
    stem_pool: bool


class ResNetRecipe(ResNetSizes, Optimised):
    """A ResNet and how it is trained."""

    momentum: ShareBelowOne
    warmup_epochs: Natural


class OtherNetwork(Section):
    """A classifier of torchvision or timm by name, or EfficientNet-Lite0."""

    architecture: OtherArchitecture
    input_size: Pixels | None


class OtherRecipe(OtherNetwork, Optimised):
    """Such a classifier and how it is trained."""

    momentum: ShareBelowOne
    warmup_epochs: Natural


def either(ours: type[ResNetSizes], other: type[OtherNetwork]) -> Any:
    """The type of an entry that is one of our ResNets or another classifier, told by its `architecture`; a ResNet where it does not say."""
    return Annotated[Union[Annotated[ours, Tag(OURS)], Annotated[other, Tag(OTHER)]], Discriminator(_whose)]  # noqa: UP007


def _whose(value: Any) -> str:
    architecture = value.get("architecture") if isinstance(value, Mapping) else getattr(value, "architecture", "")
    return OTHER if isinstance(architecture, str) and not architecture.startswith("resnet") else OURS


Fault = tuple[str, str]


def divides(divisor_key: str, divisor: int, key: str, value: int) -> Iterator[Fault]:
    if value % divisor:
        yield key, f"must be a multiple of {divisor} ({divisor_key})"


def presets(experiment: "Experiment", step: str, kind: str) -> Iterator[tuple[str, Section]]:
    """The preset of a model or of an extraction, with its dotted key; nothing where the experiment has none."""
    for name, preset in experiment[step][kind].items():
        yield f"{step}.{kind}.{name}", preset
