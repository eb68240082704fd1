"""What only one method has: a module of its name in `benchmark/methods` and in `report/methods`, found when the experiment has it."""

from types import ModuleType

from penumbra.registry import load
from penumbra.registry import names as names_in
from penumbra.stage import Params


def rooms(package: ModuleType, params: Params) -> dict[str, ModuleType]:
    """The modules of what an experiment has, by name.

    A method's name is `method` of its variants' parameters (badood, good, ...), a model's is its kind (clip, ...). What has no module
    is left out: it has what all share.

    Args:
        package: where the modules are.
        params: the stage's; sections synthesize and pretrain.
    """
    names = dict.fromkeys([*(variant.method for _, variant in params.synthesize.items()), *params.pretrain])
    return {name: load(package, name) for name in names if name in names_in(package)}
