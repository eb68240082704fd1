"""Bad-OOD's candidates that were moved toward ID or away from it (its H.2, Table 12)."""

import pandas as pd

from penumbra.report.content import Block, Results
from penumbra.report.format import Table, count, number, percent


def far(candidates: pd.DataFrame) -> list[str]:
    """The scale of the guidance, and the step that followed it."""
    ways = {True: "toward", False: "away"}
    return [
        f"scale\N{NO-BREAK SPACE}{c.scale:g}, {abs(c.toward):g}\N{NO-BREAK SPACE}{ways[c.toward >= 0]}" for c in candidates.itertuples()
    ]


def moved(results: Results) -> list[Block]:
    """Where the step led the candidates of each variant."""
    methods = results.of("moved")
    if not methods:
        return []
    rows = []
    for method, frame in methods.items():
        before, after, step = frame.mean_before, frame.mean_after, results.params.synthesize[method].toward
        rows.append(
            [method, f"{step:+g}", count(len(frame)), number(before.mean()), number(after.mean()), percent((after < before).mean())]
        )
    caption = (
        "Candidates of Bad-OOD, moved along the first principal direction of their class (H.2): the step as a share of the "
        "representation's length, positive on the side on which the mean of the class lies; mean distance from that mean before and after "
        "the step, and the share of candidates that it led nearer. What a judge says of a candidate is said of its unmoved twin where "
        "`filter` asks for it (`sees: twin`)."
    )
    header = ["method", "step", "candidates", "distance from the mean before", "after", "nearer, %"]
    return [Block(caption, table=Table(header, rows))]


BLOCKS = {"synthesize": moved}
