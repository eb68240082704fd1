"""Scores that were made elsewhere, beside ours and marked as such."""

import pandas as pd

from penumbra.benchmark.bands import wide
from penumbra.report.columns import HEADLINE
from penumbra.report.content import Block, Results
from penumbra.report.format import measures

HERE, ELSEWHERE = "here", "elsewhere"


def rows(results: Results) -> list[pd.DataFrame]:
    """Rows for the table of all test sets, named as of elsewhere; no frame where nothing was brought in."""
    if "others" not in results.tables:
        return []
    table = results.tables["others"]
    return [table.assign(detector=[f"{name} ({ELSEWHERE})" for name in table.detector])]


def blocks(results: Results) -> list[Block]:
    """Near and far OOD by detectors of ours and by scores that were made elsewhere."""
    if "others" not in results.tables:
        return []
    table = results.tables["others"]
    first = table.drop_duplicates("detector")
    theirs = wide(table[[name for name in table if not name.startswith("id_acc") and name not in ("seeds", "path")]])
    theirs = theirs.merge(first[["detector", "score", "id_acc_mean", "id_acc_std"]], on="detector")
    both = pd.concat([results.tables["detectors"].assign(made=HERE), theirs.assign(made=ELSEWHERE)], ignore_index=True)
    files = ", ".join(f"{row.detector}: {row.path}, {row.seeds} seed{'s' if row.seeds > 1 else ''}" for row in first.itertuples())
    caption = (
        f"Scores brought in from outside ({files}) beside ours, on the same test images and by the same measures, in percent. What made "
        "them, and what it was trained and chosen on, is not known here. A dash: one seed has no spread, or no class was predicted."
    )
    return [Block(caption, table=measures(both, ["detector", "made", "score"], HEADLINE))]
