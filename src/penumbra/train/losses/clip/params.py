"""Parameters of a recipe of loss clip."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, Literal

from penumbra.values import Batch, Count, Fault, NotNegative, Positive, Section, ShareBelowOne

if TYPE_CHECKING:
    from penumbra.experiment.schema import Experiment


class Recipe(Section):
    """A CLIP model with negative labels, as it is or tuned on outliers (SynOOD 3.4, 3.5)."""

    learns_from: ClassVar[str] = "features"
    detector: ClassVar[str] = "clip"
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

    @property
    def trains(self) -> bool:
        """Whether anything learns; a zero-shot detector sees neither outliers nor ID images."""
        return self.project or self.tune

    @property
    def caption(self) -> str:
        """The recipe in words, for the report."""
        parts = [f"a projection ({self.project_epochs} epochs)"] if self.project else []
        parts += [f"negative labels ({self.tune_epochs} epochs, {self.strategy})"] if self.tune else []
        return f"frozen CLIP, trained: {' and '.join(parts) or 'nothing'}, negative labels in {self.groups} groups"


def faults(experiment: "Experiment") -> Iterator[Fault]:
    own = experiment.recipes_of(Recipe)
    for name, (key, recipe) in own.items():
        if recipe.strategy != "separate" and not (recipe.project and recipe.tune):
            yield f"{key}.strategy", "must be separate where the recipe does not both project and tune"
        if recipe.control != (name in experiment.train.recipes.repainting):
            yield f"{key}.control", "must be true under train.recipes.repainting, and nowhere else"
        if recipe.project_learning_rate_end > recipe.project_learning_rate:
            yield f"{key}.project_learning_rate_end", f"must be at most {recipe.project_learning_rate:g} ({key}.project_learning_rate)"
    matching = {name for name, (_, recipe) in own.items() if recipe.tune or (recipe.project and recipe.classes == "matched")}
    for name, detector in experiment.train.detectors.items():
        if detector.method == "none" and detector.recipe in matching:
            yield f"train.detectors.{name}.method", f"must not be none: recipe {detector.recipe} learns from labels that outliers match"
