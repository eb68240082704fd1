"""A source file of the package as its digest needs it: what it defines, what it imports, what it does when it is imported."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Module:
    """A source file: statements by the names that they define (CLASS.METHOD for methods, too), what imports make of names, and the
    other statements.
    """

    path: Path
    found: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imports: dict[str, set[str]] = field(default_factory=dict)
    effects: list[ast.stmt] = field(default_factory=list)


def is_text(node: ast.AST) -> bool:
    """Whether a statement is a docstring."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def only_for_types(node: ast.AST) -> bool:
    """Whether a statement is `if TYPE_CHECKING`."""
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def read(path: Path, name: str) -> Module:
    """The source file of the module `name`."""
    module = Module(path)
    tree = ast.parse(path.read_bytes(), str(path))
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in _walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                bound = alias.asname or alias.name.split(".")[0]
                module.imports.setdefault(bound, set()).add(alias.name if alias.asname else alias.name.split(".")[0])
                if not alias.asname and "." in alias.name:
                    module.imports.setdefault(f"import {alias.name}", set()).add(alias.name)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            origin = ".".join([*parents, *([node.module] if node.module else [])])
            for alias in node.names:
                module.imports.setdefault(alias.asname or alias.name, set()).add(f"{origin}.{alias.name}")
    for statement in tree.body:
        names = _defines(statement)
        for each in names:
            module.found.setdefault(each, []).append(statement)
        if isinstance(statement, ast.ClassDef):
            module.found |= {f"{statement.name}.{each.name}": [each] for each in statement.body if isinstance(each, ast.FunctionDef)}
        if (
            not names
            and not isinstance(statement, ast.Import | ast.ImportFrom)
            and not is_text(statement)
            and not only_for_types(statement)
        ):
            module.effects.append(statement)
    return module


def _walk(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those that are for type checkers alone."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += node.orelse if only_for_types(node) else ast.iter_child_nodes(node)


def _defines(statement: ast.stmt) -> list[str]:
    """The names that a statement of a module defines."""
    if isinstance(statement, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return [statement.name]
    if isinstance(statement, ast.Assign | ast.AugAssign | ast.AnnAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        flat = [each for target in targets for each in (target.elts if isinstance(target, ast.Tuple | ast.List) else [target])]
        return [each.id for each in flat] if all(isinstance(each, ast.Name) for each in flat) else []
    return []
