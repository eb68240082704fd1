"""Fixtures of the report's tests."""

import pytest

from penumbra.report import style


@pytest.fixture(scope="package", autouse=True)
def pdf():
    """What makes a figure a PDF; it takes its time, so that the pages of the tests go without."""
    real = style.pdf
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(style, "pdf", lambda drawn: b"%PDF")
        yield real


@pytest.fixture
def drawn(monkeypatch):
    """The figure that is drawn, as it is before it becomes files: axes by title, and their texts."""
    kept = {}

    def keep(figure):
        kept["axes"] = figure.axes
        return style.Drawn(b"")

    monkeypatch.setattr(style, "files", keep)
    return kept
