"""The page: a form that asks, the candidates that it asks for, and how many there are."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from penumbra.review.asked import LEFT, ORDERS, SHOWN, VETOED, Asked
from penumbra.review.candidates import Candidates
from penumbra.review.ledger import Ledger
from penumbra.values import BANDS

HERE = Path(__file__).parent
SMALL = 128  # pixels of a side below which single pixels are shown as squares


def render(candidates: Candidates, ledger: Ledger, asked: Asked) -> str:
    """The page as HTML; everything that it fetches comes from the same server.

    Args:
        candidates: of a method.
        ledger: of their vetoes.
        asked: what is wanted.

    Raises:
        PenumbraError: the file of vetoes cannot be understood.
    """
    reasons, stale = ledger.reasons()
    rows = asked.rows(candidates.frame, reasons)
    pages = max(-(-len(rows) // SHOWN), 1)
    asked = asked.on(min(asked.page, pages))
    shown = candidates.frame.iloc[rows[(asked.page - 1) * SHOWN : asked.page * SHOWN]]
    template = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    ).get_template("page.jinja")
    return template.render(
        method=candidates.method,
        file=ledger.path,
        stale=stale,
        asked=asked,
        pages=pages,
        found=len(rows),
        total=len(candidates.frame),
        vetoed=len(reasons),
        tiles=[_tile(row, each, reasons) for row, each in zip(shown.index, shown.itertuples(), strict=True)],
        classes=[name for name in candidates.frame.class_name.unique() if name],
        bands={band: int((candidates.frame.band == band).sum()) for band in BANDS},
        orders=ORDERS,
        states={VETOED: "vetoed", LEFT: "not vetoed"},
        small=candidates.image_size < SMALL,
    )


def _tile(row: int, candidate: Any, reasons: Mapping[str, str]) -> dict[str, object]:
    """What is said of a row of the frame."""
    return {
        "row": row,
        "sample_id": candidate.sample_id,
        "class_name": candidate.class_name,
        "band": candidate.band,
        "severity": candidate.confidence,
        "source": candidate.source_row >= 0,
        "vetoed": candidate.sample_id in reasons,
        "reason": reasons.get(candidate.sample_id, ""),
    }
