"""Sections of params.yaml as tests write them."""

from pathlib import Path

from penumbra.stage import Params


def spec(source: str, path: Path | str | None = None, classes: list[str] | None = None, limit: int | None = None, root: Path | None = None):
    """A source's section."""
    return Params({"source": source, "path": path and str(path), "root": root and str(root), "classes": classes, "limit": limit})
