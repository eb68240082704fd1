"""Losses of train: one room each, found by its name. What is needed of a loss without torch is here.

A loss NAME is the room train/losses/NAME: `params` (the type of its recipes, which says what the report calls it), `plan` (its program)
and `loss` (the equations). A small loss may be one file NAME.py with a type `Recipe` and a function `main`. A recipe names its loss in
params.yaml: `loss: NAME`.
"""

from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any, Union

from pydantic import Field

if TYPE_CHECKING:
    from penumbra.experiment.schema import Experiment
    from penumbra.values import Fault


@cache
def _rooms() -> dict[str, ModuleType]:
    """The torch-free part of each loss, by its name."""
    return {found.name: import_module(f"{__name__}.{found.name}{'.params' * found.ispkg}") for found in iter_modules(__path__)}


def recipes(detector: str | None = None) -> Any:
    """The type of a recipe: one of those of all losses, told apart by the key `loss`.

    Args:
        detector: network | clip, the kind of detector that a loss trains; None: of both.
    """
    kinds = [room.Recipe for room in _rooms().values() if detector in (None, room.Recipe.detector)]
    return Annotated[Union[tuple(kinds)], Field(discriminator="loss")] if len(kinds) > 1 else kinds[0]  # noqa: UP007


def faults(experiment: "Experiment") -> Iterator["Fault"]:
    """Impossible combinations of the parameters of recipes, by the rules of their losses."""
    for room in _rooms().values():
        if hasattr(room, "faults"):
            yield from room.faults(experiment)
