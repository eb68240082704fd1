"""One look for all figures, safe for colour-blind readers, and files with equal bytes for equal content."""

import base64
import io
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from penumbra.report.uris import lean

# Okabe and Ito's palette, grey first: the detector without outliers is the reference; then two of Tol's
PALETTE = ("#6b6b6b", "#0072b2", "#56b4e9", "#d55e00", "#009e73", "#e69f00", "#cc79a7", "#000000", "#882255", "#999933")
GROUPS = {"id": "#6b6b6b", "near": "#d55e00", "far": "#0072b2"}
BANDS = {"low": "#56b4e9", "mid": "#009e73", "high": "#d55e00"}
RC = {
    "svg.hashsalt": "penumbra",
    "svg.fonttype": "path",
    "pdf.fonttype": 42,  # TrueType: publishers refuse type 3
    "pdf.compression": 0,  # what zlib makes differs between its builds
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.3,
    "legend.frameon": False,
    "legend.fontsize": 7.5,
    "figure.facecolor": "white",
}
WIDTH = 7.2  # inches: two columns of a paper
SMALLEST = 6.5  # points of the smallest letters at that width

COORDINATES = re.compile(rb'(?<= d=")[^"]*|(?<= [xy]=")[^"]*|(?<=translate\()[^)]*')
PICTURE = re.compile(rb"(?<=data:image/png;base64,)[^\"]+")
FRACTION = re.compile(rb"-?\d+\.\d+")


@contextmanager
def figure(rows: int, columns: int, height: float, **kwargs: object) -> Iterator[tuple[Figure, list[Axes]]]:
    """A figure of the common width with a grid of axes, in reading order."""
    with plt.rc_context(RC):
        drawn, axes = plt.subplots(rows, columns, figsize=(WIDTH, height), layout="constrained", squeeze=False, **kwargs)
        yield drawn, list(axes.flat)
        plt.close(drawn)


@dataclass(frozen=True)
class Drawn:
    """A figure as the bytes of its files: SVG for the page, with text as outlines; PDF for papers, with text as text (none of the DAG)."""

    svg: bytes
    pdf: bytes | None = None

    @property
    def files(self) -> dict[str, bytes]:
        """What there is, by suffix."""
        return {suffix: content for suffix, content in (("svg", self.svg), ("pdf", self.pdf)) if content is not None}


def files(drawn: Figure) -> Drawn:
    """Both files. Call it inside `figure`: its settings hold there.

    A picture in them has its own pixels, not those of the figure's resolution: they stay sharp however large they are shown.
    """
    for picture in drawn.findobj(AxesImage):
        picture.set_interpolation("none")
    return Drawn(svg(drawn), pdf(drawn))


def svg(drawn: Figure) -> bytes:
    """SVG without a date and with fixed identifiers, `compact`."""
    return compact(_saved(drawn, "svg", "Date"))


def compact(drawing: bytes) -> bytes:
    """The same drawing with coordinates to a hundredth of a point, small pictures, and no space between elements: a third less to load."""
    pictures = PICTURE.sub(lambda found: base64.b64encode(lean(base64.b64decode(found[0]))), drawing)
    return re.sub(rb">\s+<", b"><", COORDINATES.sub(_rounded, pictures)).replace(b"DejaVuSans-", b"D")  # of each letter


def _rounded(found: re.Match[bytes]) -> bytes:
    """Numbers and, in a path, the letters of its commands, with no more than one space between them."""
    short = FRACTION.sub(lambda number: b"%g" % (round(float(number[0]), 2) + 0.0), found[0])
    return re.sub(rb"\s*([A-Za-z])\s*", rb"\1", re.sub(rb"\s+", b" ", short)).strip()


def pdf(drawn: Figure) -> bytes:
    """PDF without a date, laid out as before."""
    drawn.set_layout_engine("none")
    return _saved(drawn, "pdf", "CreationDate")


def _saved(drawn: Figure, kind: str, date: str) -> bytes:
    buffer = io.BytesIO()
    drawn.savefig(buffer, format=kind, metadata={date: None})
    return buffer.getvalue()


def colours(names: Iterable[str]) -> dict[str, str]:
    """A colour for each name, by order; after the last colour comes the first again."""
    return {name: PALETTE[place % len(PALETTE)] for place, name in enumerate(names)}


def ramp(count: int) -> list[tuple]:
    """Colours of growing strength, from dark to bright, readable on white."""
    colours = matplotlib.colormaps["viridis"]
    return [colours(0.9 * place / max(count - 1, 1)) for place in range(count)]
