"""Parameters of train: recipes by their loss, and detectors."""

from typing import Annotated, Literal

from annotated_types import Ge, MinLen
from pydantic import AfterValidator, Field

from penumbra.values import Bands, Batch, Count, Item, Natural, NotNegative, Positive, ResNetRecipe, Section, ShareBelowOne, Width, distinct


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
    seeds: Annotated[list[Natural], MinLen(1), AfterValidator(distinct)]
    recipes: RecipeKinds
    detectors: Annotated[dict[Item, Detector], MinLen(1)]
