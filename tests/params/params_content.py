"""The committed parameters, changed, and what is said against them."""

import copy
import json
from pathlib import Path

from penumbra.errors import PenumbraError
from penumbra.experiment.load import load, typed

PARAMS = Path(__file__).parents[2] / "params.yaml"
CONTENT = load(PARAMS)
LOSSES = "'cider', 'energy', 'godin', 'mcd', 'mixoe', 'npos', 'udg', 'uniform', 'vos'"


def lookup(content: dict, key: str):
    for part in key.split("."):
        content = content[part]
    return content


def changed(changes: dict[str, object], given: dict = CONTENT) -> dict:
    """Parameters, the committed ones by default, with some keys set; `...` drops a key."""
    content = copy.deepcopy(given)
    for key, value in changes.items():
        place, up, name = key.partition("../")
        *parents, last = key.split(".") if not up else [*place.removesuffix(".").split("."), up + name]
        section = lookup(content, ".".join(parents)) if parents else content
        if value is ...:
            del section[last]
        else:
            section[last] = value
    return content


def refusal(content: dict) -> list[str]:
    """The lines of the refusal; [] if the parameters are accepted. They are what JSON holds, as if they came from a file."""
    try:
        typed(json.loads(json.dumps(content)), PARAMS.name)
    except PenumbraError as error:
        return str(error).splitlines()
    return []
