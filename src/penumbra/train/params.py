"""Parameters of train: recipes by what they need, and detectors; the type of a recipe is that of its loss."""

from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import MinLen
from pydantic import AfterValidator

from penumbra.train import losses
from penumbra.values import Bands, Item, Natural, Section, distinct

if TYPE_CHECKING:
    Network = Clip = Latent = Any
else:
    Network, Clip, Latent = (losses.recipes(each) for each in ("images", "features", "representations"))


class RecipeKinds(Section):
    """Recipes by what they need beside images and outliers (`equip` provides it)."""

    scratch: dict[Item, Network]
    classifier: dict[Item, Network]
    reconstruction: dict[Item, Network]
    clip: dict[Item, Clip]
    repainting: dict[Item, Clip]
    encoder: dict[Item, Latent]


class Detector(Section):
    """A synthesiser (`none`: no outliers), which of its candidates, and how a detector learns from them."""

    method: Item
    bands: Bands
    recipe: Item


class Train(Section):
    seeds: Annotated[list[Natural], MinLen(1), AfterValidator(distinct)]
    recipes: RecipeKinds
    detectors: Annotated[dict[Item, Detector], MinLen(1)]
