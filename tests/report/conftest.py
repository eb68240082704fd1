"""Fixtures of the report's tests."""

import pytest

from penumbra.report import style


@pytest.fixture
def drawn(monkeypatch):
    """The figure that is drawn, as it is before it becomes SVG: axes by title, and their texts."""
    kept = {}

    def keep(figure):
        kept["axes"] = figure.axes
        return b""

    monkeypatch.setattr(style, "svg", keep)
    return kept
