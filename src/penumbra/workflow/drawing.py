"""The DAG of dvc.yaml as a drawing: stages by rank, an edge where one reads what another writes.

DVC lets no stage depend on dvc.yaml, so the drawing that the report and README.md show is a file of the repository, docs/dag.svg.
`python -m penumbra.workflow.drawing` draws it again after a change of dvc.yaml; a test holds it to that.
"""

from collections.abc import Mapping, Set
from html import escape
from math import ceil
from pathlib import Path

from penumbra.artifacts.files import replace
from penumbra.workflow import contract

DRAWING = Path("docs/dag.svg")

FILLS = {  # one tint for each step
    "prepare": "#e8e8e8",
    "pretrain": "#d6e6f4",
    "extract": "#d5ecf5",
    "synthesize": "#fbe3c8",
    "equip": "#e9f0d4",
    "train": "#d3eee2",
    "calibrate": "#f7dcea",
    "filter": "#fbd9c5",
    "infer": "#dde3f7",
    "score": "#e4e0f3",
    "rerun": "#ebdcf0",
    "grid": "#e0ecdf",
    "benchmark": "#dcdcdc",
    "report": "#f4efc9",
}
NODE_WIDTH, NODE_HEIGHT, GAP, RISE = 164, 24, 10, 62
WIDEST, STEP = 7, 34  # boxes of a rank side by side; between the rows of a rank


def edges(before: Mapping[str, Set[str]]) -> dict[str, set[str]]:
    """The stages that each stage follows directly, of those that it follows; edges that a longer way implies are left out."""
    ancestors: dict[str, set[str]] = {}

    def collect(name: str) -> set[str]:
        if name not in ancestors:
            ancestors[name] = set().union(before[name], *(collect(parent) for parent in before[name]))
        return ancestors[name]

    return {
        name: {parent for parent in parents if not any(parent in collect(other) for other in parents)} for name, parents in before.items()
    }


def layout(before: dict[str, set[str]]) -> list[list[str]]:
    """Stages by rank: each as late as what reads it allows; within a rank, below what it follows."""
    after = {name: {other for other, parents in before.items() if name in parents} for name in before}

    def height(name: str) -> int:
        return 1 + max((height(other) for other in after[name]), default=-1)

    def depth(name: str) -> int:
        return 1 + max((depth(parent) for parent in before[name]), default=-1)

    last = max(map(depth, before), default=0)
    early = {
        name for name in before if all(not after[other] for other in after[name])
    }  # what only the last stage reads hangs on what it follows
    rank = {name: depth(name) if name in early else last - height(name) for name in before}
    place: dict[str, float] = {}
    rows = []
    for level in range(last + 1):
        row = sorted((name for name in before if rank[name] == level), key=lambda name: (_centre(before[name], place), name))
        place |= {name: index - (len(row) - 1) / 2 for index, name in enumerate(row)}
        rows.append(row)
    return rows


def _centre(names: set[str], place: dict[str, float]) -> float:
    return sum(place.get(name, 0) for name in names) / len(names) if names else 0.0


def draw(found: Mapping[str, Set[str]]) -> bytes:
    """SVG of the DAG: stages, and those that each follows."""
    before = edges(found)
    rows = layout(before)
    pitch = NODE_WIDTH + GAP
    width = max((min(len(row), WIDEST) for row in rows), default=1) * pitch + GAP
    centre, top = {}, 20
    for row in rows:
        # rows of a rank are shifted against one another, so that lines from the upper can pass between boxes of the lower
        parts = ceil(len(row) / WIDEST)
        middle = (len(row) - 1) / 2
        centre |= {name: (width / 2 + (place - middle) / parts * pitch, top + place % parts * STEP) for place, name in enumerate(row)}
        top += (parts - 1) * STEP + RISE
    lines = [_edge(centre[parent], centre[name]) for name in before for parent in sorted(before[name])]
    boxes = [_node(name, *centre[name]) for row in rows for name in row]
    height = top - RISE + 20
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="10.5">'
    return "\n".join([head, '<rect width="100%" height="100%" fill="white"/>', *lines, *boxes, "</svg>\n"]).encode()


def _edge(start: tuple[float, float], end: tuple[float, float]) -> str:
    (x0, y0), (x1, y1) = (start[0], start[1] + NODE_HEIGHT / 2), (end[0], end[1] - NODE_HEIGHT / 2)
    bend = min((y1 - y0) / 2, 40)
    curve = f"M{x0:g} {y0:g}C{x0:g} {y0 + bend:g} {x1:g} {y1 - bend:g} {x1:g} {y1:g}"
    return f'<path d="{curve}" fill="none" stroke="#9a9a9a" stroke-width="0.9"/>'


def _node(name: str, x: float, y: float) -> str:
    fill, length = FILLS.get(name.partition("@")[0], "#ffffff"), NODE_WIDTH - 12
    place = f'x="{x - NODE_WIDTH / 2:g}" y="{y - NODE_HEIGHT / 2:g}" width="{NODE_WIDTH}" height="{NODE_HEIGHT}"'
    squeeze = f' textLength="{length}" lengthAdjust="spacingAndGlyphs"' if 5.6 * len(name) > length else ""
    text = f'<text x="{x:g}" y="{y + 3.7:g}" text-anchor="middle" fill="#1c1c1c"{squeeze}>{escape(name)}</text>'
    return f'<rect {place} rx="5" fill="{fill}" stroke="#8a8a8a"/>{text}'


def stages() -> dict[str, set[str]]:
    """The stages of the repository in the working directory that have data, and those that each follows."""
    dag = contract.load()
    return {_short(entry): {_short(other) for other in dag.before(entry)} for entry in dag.stages.values() if entry.step != "code"}


def _short(entry: contract.Entry) -> str:
    return f"{entry.step}@{entry.item}" if entry.item else entry.step


if __name__ == "__main__":
    with replace(DRAWING) as temporary:
        temporary.write_bytes(draw(stages()))
