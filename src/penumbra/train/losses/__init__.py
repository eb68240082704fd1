"""Losses of train, found by their names. What is needed of a loss without torch is here.

A recipe names its loss in params.yaml, `loss: NAME`. The room train/losses/NAME holds

    params  the type of its recipes: their keys, what they learn from, the kind of detector, the words for the report; and `faults`,
            impossible combinations
    loss    the equations, and for a network a class derived from `train.network.loss.Loss`
    plan    its program

A small loss is one file, train/losses/NAME.py, with `Recipe` and `main`, which imports torch where it computes.
"""

from collections.abc import Iterator
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any, Union

from pydantic import Field, TypeAdapter, ValidationError

from penumbra.errors import PenumbraError
from penumbra.registry import load, names, rooms
from penumbra.train import losses

if TYPE_CHECKING:
    from penumbra.experiment.schema import Experiment
    from penumbra.values import Fault


@cache
def _rooms() -> dict[str, ModuleType]:
    """The torch-free part of each loss, by its name."""
    return {name: load(losses, name, "params" if name in rooms(losses) else "") for name in names(losses)}


def recipes(learns_from: str | None = None) -> Any:
    """The type of a recipe: one of those of all losses, told apart by the key `loss`.

    Args:
        learns_from: images | features (CLIP's) | representations (the encoder's), what a loss learns from; None: any of them.
    """
    kinds = [room.Recipe for room in _rooms().values() if learns_from in (None, room.Recipe.learns_from)]
    return Annotated[Union[tuple(kinds)], Field(discriminator="loss")] if len(kinds) > 1 else kinds[0]  # noqa: UP007


def faults(experiment: "Experiment") -> Iterator["Fault"]:
    """Impossible combinations of the parameters of recipes, by the rules of their losses."""
    for room in _rooms().values():
        if hasattr(room, "faults"):
            yield from room.faults(experiment)


def typed(recipe: Any, name: str) -> Any:
    """A recipe that equip has written, as its type.

    Args:
        name: where it lies, for the message.

    Raises:
        PenumbraError: it is none of today's.
    """
    try:
        return TypeAdapter(recipes()).validate_python(recipe)
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise PenumbraError(f"{name}: is no recipe of today's params.yaml ({reason}). Run `dvc repro` to make it again.") from error
