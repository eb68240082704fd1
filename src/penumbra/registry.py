"""Registries: packages in which a module is found by a name that params.yaml gives.

To add to one is to add a file. Its names are read without importing anything. Name the package as a value where you load from it, as in
`load(sources, "mnist")`: so the digest of a program sees what it may load (workflow/digest.py).
"""

from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType


def names(package: ModuleType) -> tuple[str, ...]:
    """The names of the modules and packages in a package, sorted."""
    return tuple(sorted(found.name for found in iter_modules(package.__path__)))


def rooms(package: ModuleType) -> tuple[str, ...]:
    """Those that are packages, sorted."""
    return tuple(sorted(found.name for found in iter_modules(package.__path__) if found.ispkg))


def load(package: ModuleType, name: str, part: str = "") -> ModuleType:
    """The module of a name; of a package of that name its module `part`, if there is one named.

    Raises:
        ModuleNotFoundError: there is none.
    """
    return import_module(".".join(filter(None, (package.__name__, name, part))))
