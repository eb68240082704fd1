"""Fixtures of the report's tests."""

import pytest
from matplotlib.text import Text

from penumbra.report import style


@pytest.fixture(scope="package", autouse=True)
def pdf():
    """What makes a figure a PDF; it takes its time, so that the pages of the tests go without."""
    real = style.pdf
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(style, "pdf", lambda drawn: b"%PDF")
        yield real


@pytest.fixture(scope="module")
def letters():
    """All that figures have written since, as (size in points, text); by files alone it could not be read, where text is outlines."""
    found: list[tuple[float, str]] = []
    real = style.svg

    def written(figure):
        made = real(figure)
        texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text()]
        found.extend((text.get_fontsize(), text.get_text()) for text in texts)
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(style, "svg", written)
        yield found


@pytest.fixture
def drawn(monkeypatch):
    """The figure that is drawn, as it is before it becomes files: axes by title, and their texts."""
    kept = {}

    def keep(figure):
        kept["axes"] = figure.axes
        return style.Drawn(b"")

    monkeypatch.setattr(style, "files", keep)
    return kept
