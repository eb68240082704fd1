"""The shape of params.yaml as a whole: one section for each step, whose types stand in the rooms of the steps.

No key has a default, but for five that need not be there: the section `infer` (`infer/params.py`), a file of vetoes and what a judge sees
(`filter/params.py`), the features of GOOD's candidates (`synthesize/good/params.py`), and the figures that want them
(`benchmark/params.py`).
"""

from typing import Annotated, Any, Literal, Union

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from penumbra.benchmark.params import Benchmark
from penumbra.calibrate.params import Calibrate
from penumbra.extract.params import Extract
from penumbra.filter.params import Filter
from penumbra.grid.params import Grid
from penumbra.infer.params import Infer
from penumbra.prepare.params import Prepare
from penumbra.pretrain.params import Pretrain
from penumbra.report.params import Report
from penumbra.rerun.params import Rerun
from penumbra.score.params import Score
from penumbra.synthesize import rooms
from penumbra.synthesize.control.params import Control
from penumbra.synthesize.decoded.params import Decoded
from penumbra.synthesize.good.params import Good
from penumbra.synthesize.moved.params import Variant
from penumbra.synthesize.sona.params import Sona
from penumbra.synthesize.synood.params import SynOod, SynOodNegatives
from penumbra.train.params import Clip, Latent, Network, Train
from penumbra.values import Item, Natural, Pixels, Section


class Common(Section):
    seed: Natural
    kernels: Literal["portable", "native"]
    image_size: Pixels
    grey: bool


class Synthesize(Section):
    """Methods, and under each its variants by name."""

    badood: dict[Item, Variant]
    decoded: dict[Item, Decoded]
    good: dict[Item, Good]
    sona: dict[Item, Sona]
    synood: dict[Item, SynOod]
    negatives: dict[Item, SynOodNegatives]
    images: dict[Item, Annotated[Union[*rooms.reading("images")], Field(discriminator="method")]]
    diffusion: dict[Item, Annotated[Union[*rooms.reading("diffusion")], Field(discriminator="method")]]
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
    infer: Infer | None = None
    score: Score
    rerun: Rerun
    grid: Grid
    benchmark: Benchmark
    report: Report

    @model_serializer(mode="wrap")
    def _given(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in dump(self).items() if value is not None}

    @property
    def methods(self) -> dict[str, Variant | Decoded | Good | Sona | SynOod]:
        """Every variant of every method that makes outliers, by its name."""
        kinds = [kind for kind in type(self.synthesize).model_fields if kind != "control"]
        return {name: variant for kind in kinds for name, variant in self.synthesize[kind].items()}

    @property
    def recipes(self) -> dict[str, Network | Clip | Latent]:
        """Every recipe by its name."""
        kinds = self.train.recipes
        return {name: recipe for kind in type(kinds).model_fields for name, recipe in kinds[kind].items()}

    def recipes_of(self, loss: type) -> dict[str, tuple[str, Any]]:
        """The recipes of one type, by name: the dotted key of each, and itself."""
        kinds = self.train.recipes
        every = ((kind, name, recipe) for kind in type(kinds).model_fields for name, recipe in kinds[kind].items())
        return {name: (f"train.recipes.{kind}.{name}", recipe) for kind, name, recipe in every if isinstance(recipe, loss)}

    def unsaid(self, step: str, item: str | None) -> dict[str, Any]:
        """Parameters of a stage from a section that params.yaml may leave out: DVC can depend on them by code.json alone."""
        if step != "infer" or self.infer is None or item not in self.infer.detectors:
            return {}
        return {"infer": {"layers": self.infer.layers, "powers": self.infer.powers}}
