"""Sections of params.yaml as tests write them."""

from pathlib import Path
from typing import Any

from penumbra.prepare.params import IdSource, OodSource


def spec(source: str, path: Path | str | None = None, classes: list[str] | None = None, limit: int | None = None, root: Path | None = None):
    """A source's section, of a set that is not ID; the source may be one that a test adds."""
    return OodSource.model_construct(source=source, path=path and str(path), root=root and str(root), classes=classes, limit=limit)


def id_spec(*args: Any, **options: Any) -> IdSource:
    """The section of ID: as another one, with shares of validation and test images."""
    own = dict(spec(*args, **options))
    return IdSource.model_construct(**{key: own[key] for key in own if key != "limit"}, val_share=0.2, test_share=0.2)
