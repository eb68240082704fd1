"""The meaning of code: one digest for all that a program can run, and the libraries that it can call.

A definition (function, class, constant) is digested by its syntax tree, without docstrings, comments and annotations. A name of
ours in it counts as the digest of what it names, and a name of a library as its full name. So a definition has the digest of its
meaning, wherever it stands: a comment, a new line or the move of a helper changes nothing, and a new value of a constant changes
exactly what uses it.

A local name that a global one has, too, counts as the global one: that may name too much, never too little. A package that is named
as a value, as a registry is (`registry.load(scores, name)`), counts as all that lies in it. No name leads to the methods of what a
program is handed. So all of `Stage` counts for every program, and an attribute counts as the methods of that name of all types of
parameters. Not seen are modules named in strings.
"""

import ast
import functools
import hashlib
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

from penumbra.workflow.source import Module, is_text, only_for_types, read

PACKAGE = "penumbra"
STAGE, PARAMS = f"{PACKAGE}.stage", ("params.py", "schema.py")  # what every program is handed: its stage, and in it parameters
ITSELF = "itself "
Place = tuple[str, str]  # module, and name in it; "" for what runs when it is imported, "*" for everything in it


@dataclass(frozen=True)
class Meaning:
    """What can run: its digest, the distributions that it names, and the files beside its modules that it may read."""

    digest: str
    libraries: frozenset[str] = frozenset()
    modules: frozenset[str] = frozenset()
    recursive: frozenset[Place] = frozenset()  # places that stand for themselves in the digest, because they were still being read


class Code:
    """The source files of the package below a folder."""

    def __init__(self, source: Path):
        self.source = source
        self._modules: dict[str, Module | None] = {}
        self._known: dict[Place, Meaning] = {}
        self._reading: list[Place] = []

    def program(self, module: str, name: str = "main") -> Meaning:
        """What a function of a module can run, with the files that are no code beside the modules it comes through (templates).

        Raises:
            KeyError: there is no such function.
        """
        if self._module(module) is None:
            raise KeyError(module)
        found = self._meaning((module, name))
        imported = self._imported(found.modules)
        beside = [(each, "") for each in sorted(imported) if self._module(each).effects]
        beside += [(STAGE, "*")] if self._module(STAGE) else []
        others = [self._meaning(place) for place in beside]
        folders = sorted({self._module(each).path.parent for each in found.modules})
        files = [file for folder in folders for file in sorted(folder.iterdir()) if file.is_file() and file.suffix not in (".py", ".pyc")]
        parts = [found.digest, *(each.digest for each in others), *(hashlib.sha256(file.read_bytes()).hexdigest() for file in files)]
        libraries = found.libraries.union(*(each.libraries for each in others))
        return Meaning(_hash(*parts), libraries, found.modules)

    def _meaning(self, place: Place) -> Meaning:
        """Of a place. A definition that leads back to itself stands for itself by its name.

        Such a digest depends on where one comes in, so it is kept only where that is always the same.
        """
        if place in self._known:
            return self._known[place]
        if place in self._reading:
            return Meaning(f"{ITSELF}{place[1]}", recursive=frozenset([place]))
        self._reading.append(place)
        reader = _Reader(self, place[0])
        text = "".join(reader.text(statement) for statement in self._statements(place))
        self._reading.pop()
        met = reader.met
        found = Meaning(
            _hash(text),
            frozenset(reader.libraries).union(*(each.libraries for each in met)),
            frozenset([place[0]]).union(*(each.modules for each in met)),
            frozenset().union(*(each.recursive for each in met)) - {place},
        )
        through_others = any(place in each.recursive and not each.digest.startswith(ITSELF) for each in met)
        if not found.recursive and not through_others:
            self._known[place] = found
        return found

    def _statements(self, place: Place) -> list[ast.stmt]:
        module = self._module(place[0])
        if place[1] == "*":
            return [statement for name, statements in module.found.items() if "." not in name for statement in statements]
        return module.effects if place[1] == "" else module.found[place[1]]

    def places(self, target: str) -> Iterator[Place]:
        """What a full name of the package means."""
        parts = target.split(".")
        end = next(end for end in range(len(parts), 0, -1) if self._module(".".join(parts[:end])) is not None)
        module, rest = ".".join(parts[:end]), parts[end:]
        if not rest:
            yield module, "*"
            yield from ((each, "*") for each in self._inside(module))
        elif rest[0] in self._module(module).found:
            yield module, rest[0]
        else:
            for further in self._module(module).imports.get(rest[0], ()):
                if further.split(".")[0] == PACKAGE:
                    yield from self.places(further)

    def _inside(self, module: str) -> list[str]:
        """The modules in a package."""
        path = self._module(module).path
        inside = [each.with_suffix("") for each in sorted(path.parent.rglob("*.py")) if each.name != "__init__.py"]
        return [".".join(each.relative_to(self.source).parts) for each in inside] if path.name == "__init__.py" else []

    def is_module(self, target: str) -> bool:
        """Whether a full name is that of a source file of the package."""
        return target.split(".")[0] == PACKAGE and self._module(target) is not None

    def module(self, name: str) -> Module:
        """A source file by its module's name; it must exist."""
        return self._module(name)

    def handed(self, attribute: str) -> list[Place]:
        """The methods of that name of all types of parameters."""
        return self._handed.get(attribute, [])

    @functools.cached_property
    def _handed(self) -> dict[str, list[Place]]:
        found: dict[str, list[Place]] = {}
        for path in sorted(each for name in PARAMS for each in (self.source / PACKAGE).rglob(name)):
            module = ".".join(path.relative_to(self.source).with_suffix("").parts)
            for place in self._module(module).found:
                if "." in place:
                    found.setdefault(place.partition(".")[2], []).append((module, place))
        return found

    def _imported(self, modules: Iterable[str]) -> set[str]:
        """Modules of the package that importing these imports."""
        done: set[str] = set()
        waiting = list(modules)
        while waiting:
            name = waiting.pop()
            while name and self._module(name) is None:
                name = name.rpartition(".")[0]
            if not name or name in done:
                continue
            done.add(name)
            waiting.append(name.rpartition(".")[0])
            waiting += [each for targets in self._module(name).imports.values() for each in targets if each.split(".")[0] == PACKAGE]
        return done

    def _module(self, name: str) -> Module | None:
        if name not in self._modules:
            path = self.source.joinpath(*name.split("."))
            files = [file for file in (path / "__init__.py", path.with_suffix(".py")) if name and file.is_file()]
            self._modules[name] = read(files[0], name) if files else None
        return self._modules[name]


class _Reader:
    """Writes statements of a module as text that only their meaning changes."""

    def __init__(self, code: Code, module: str):
        self.code, self.imports, self.found = code, code.module(module).imports, code.module(module).found
        self.name = module
        self.met: list[Meaning] = []
        self.libraries: set[str] = set()

    def text(self, node: object) -> str:
        """A node as text; names of ours as digests of what they mean."""
        if isinstance(node, list):
            return f"[{','.join(map(self.text, node))}]"
        if not isinstance(node, ast.AST):
            return repr(node)
        if isinstance(node, ast.Import | ast.ImportFrom) or only_for_types(node):
            return ""
        if isinstance(node, ast.Name | ast.Attribute) and (known := self._named(node)):
            return known
        handed = self._joined(self.code.handed(node.attr), []) if isinstance(node, ast.Attribute) else ""
        fields = ((name, value) for name, value in ast.iter_fields(node) if name not in ("annotation", "returns", "type_comment", "ctx"))
        return f"{type(node).__name__}({','.join(f'{name}={self.text(_body(node, name, value))}' for name, value in fields)}){handed}"

    def _named(self, node: ast.Name | ast.Attribute) -> str | None:
        """What a name, or a name with attributes, means; None if it is local or a builtin."""
        attributes: list[str] = []
        while isinstance(node, ast.Attribute):
            attributes.insert(0, node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return None
        if node.id in self.found:
            return self._joined([(self.name, node.id)], attributes)
        if node.id not in self.imports:
            return None
        return "|".join(self._imported(target, list(attributes)) for target in sorted(self.imports[node.id]))

    def _imported(self, target: str, attributes: list[str]) -> str:
        if target.split(".")[0] != PACKAGE:
            self.libraries |= distributions(target.split(".")[0])
            return ".".join([target, *attributes])
        while self.code.is_module(target) and attributes:
            target = f"{target}.{attributes.pop(0)}"
        places = list(self.code.places(target))
        if not places:  # of a library, imported from elsewhere by a module of ours
            module, _, name = target.rpartition(".")
            further = self.code.module(module).imports.get(name, ()) if self.code.is_module(module) else ()
            return "|".join(self._imported(each, list(attributes)) for each in sorted(further)) or ".".join([target, *attributes])
        return self._joined(places, attributes)

    def _joined(self, places: Iterable[Place], attributes: list[str]) -> str:
        meanings = [self.code._meaning(place) for place in places]
        self.met += meanings
        return ".".join(["|".join(each.digest for each in meanings), *attributes])


def _body(node: ast.AST, name: str, value: object) -> object:
    """The statements of a body without its docstring."""
    documented = isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and name == "body"
    return value[1:] if documented and is_text(value[0]) else value


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


RENAMED = {"PIL": ("pillow",), "sklearn": ("scikit-learn",), "ruamel": ("ruamel-yaml", "ruamel-yaml-clib")}


@functools.cache
def distributions(top_level: str) -> frozenset[str]:
    """The installed distributions that provide a top-level module; none for the standard library.

    Most are called like their module. Only for others are the files of all distributions looked through, which takes half a second.
    """
    if top_level in sys.stdlib_module_names:
        return frozenset()
    if top_level in RENAMED:
        return frozenset(RENAMED[top_level])
    try:
        distribution(top_level)
        return frozenset([top_level])
    except PackageNotFoundError:
        names = packages_distributions().get(top_level, [top_level])
    # normalised as package indexes do: a dot in a name would be a path for DVC
    return frozenset(re.sub("[-_.]+", "-", name).lower() for name in names)
