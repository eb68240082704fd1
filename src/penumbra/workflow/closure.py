"""The import closure of a step: the source files and libraries that its result can depend on."""

import ast
import functools
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

SOURCE = Path("src")
PACKAGE = "penumbra"


def entry(step: str, item: str | None) -> str:
    """The module of a stage: penumbra.STEP.ITEM, or that of the longest beginning of the item that has one; else penumbra.STEP.step.

    The item sona-mid-far is looked for as sona_mid_far, sona_mid and sona.
    """
    words = item.split("-") if item else []
    names = ["_".join(words[:count]) for count in range(len(words), 0, -1)]
    own = [name for name in names if (SOURCE / PACKAGE / step / f"{name}.py").exists()]
    return f"{PACKAGE}.{step}.{own[0] if own else 'step'}"


def closure(module: str) -> tuple[list[Path], list[str]]:
    """Source files that importing `module` runs, with the templates beside them, and the distributions that they import; both sorted."""
    modules: dict[str, Path] = {}
    libraries: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in modules or (path := _file(name)) is None:
            continue
        modules[name] = path
        waiting += _parents(name)
        for imported in _imports(path.read_bytes(), name if path.name == "__init__.py" else name.rpartition(".")[0]):
            if imported.split(".")[0] == PACKAGE:
                waiting += [imported, *_parents(imported)]
            else:
                libraries |= distributions(imported.split(".")[0])
    files = set(modules.values())
    templates = {file for path in files for file in path.parent.glob("*.html")}
    return sorted(files | templates), sorted(libraries)


@functools.cache
def _distributions() -> dict[str, list[str]]:
    return packages_distributions()


def distributions(top_level: str) -> set[str]:
    """The installed distributions that provide a top-level module; none for the standard library."""
    if top_level in sys.stdlib_module_names:
        return set()
    # normalised as package indexes do: a dot in a name would be a path for DVC
    return {re.sub("[-_.]+", "-", name).lower() for name in _distributions().get(top_level, [top_level])}


def _file(module: str) -> Path | None:
    path = SOURCE.joinpath(*module.split("."))
    found = [file for file in (path / "__init__.py", path.with_suffix(".py")) if file.exists()]
    return found[0] if found else None


def _parents(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts))]


@functools.cache  # most stages import the same files
def _imports(source: bytes, package: str) -> tuple[str, ...]:
    """Absolute names that a file of the package imports, inside functions too, but not under `if TYPE_CHECKING`."""
    found: list[str] = []
    waiting: list[ast.AST] = [ast.parse(source)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
            continue
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            origin = ".".join([*parents, *([node.module] if node.module else [])])
            found += [origin, *(f"{origin}.{alias.name}" for alias in node.names)]
        waiting += ast.iter_child_nodes(node)
    return tuple(found)
