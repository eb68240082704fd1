"""Bad-OOD: what minority guidance does to candidates, and what detectors learn from their bands."""

import pandas as pd

from penumbra.report.columns import METRICS
from penumbra.report.content import Block, Results
from penumbra.report.format import Table, count, measures, number, percent
from penumbra.report.words import described

TABLE_2 = {"fpr95_id_tpr": "FPR95", "auroc": "AUROC", "aupr_out": "AUPR"}


def far(candidates: pd.DataFrame) -> list[str]:
    """The scale of the guidance, or of the noise."""
    return [f"scale {scale:g}" for scale in candidates.scale]


def minority(results: Results) -> list[Block]:
    """What minority guidance does to the minority score."""
    methods = results.of("badood")
    if not methods:
        return []
    rows = []
    for method, frame in methods.items():
        for scale, part in frame.groupby("scale"):
            raised = (part.minority_after > part.minority_before).mean()
            before, after = part.minority_before.mean(), part.minority_after.mean()
            displacement = number(part.displacement.mean(), 2)
            rows.append([method, f"{scale:g}", count(len(part)), displacement, number(before), number(after), percent(raised)])
    setting = results.params.synthesize[next(iter(methods))]
    caption = (
        f"Bad-OOD: means over candidates, t = {setting.t}, s = {setting.s}. "
        "Displacement is the L2 distance from the unguided sample of the same noise; "
        "raised is the share of candidates whose minority score is higher than without guidance."
    )
    header = ["method", "scale", "candidates", "displacement", "minority score before", "after", "raised, %"]
    return [Block(caption, table=Table(header, rows))]


def bands(results: Results) -> list[Block]:
    """What each band teaches, beside the paper's numbers."""
    table = results.tables["bands"]
    if table.empty:
        return []
    columns = {f"{group}_{name}": (f"{group} {label}", METRICS[name][1]) for group in ("near", "far") for name, label in TABLE_2.items()}
    ours = measures(table.assign(bands=table.bands.astype(object).fillna("ID only")), ["detector", "bands", "outliers"], columns)
    paper = [[percent(row.paper_fpr95), percent(row.paper_auroc), percent(row.paper_aupr)] for row in table.itertuples()]
    rows = [cells + numbers for cells, numbers in zip(ours.rows, paper, strict=True)]
    caption = (
        "The bands of Bad-OOD, Table 2, ID alone (Table 1) and the Gaussian row of Table 7, beside the paper's numbers "
        f"(ImageNet-100): {described(results)}. FPR95: ID positive; AUPR: OOD positive."
    )
    return [Block(caption, table=Table([*ours.header, *(f"paper {label}" for label in TABLE_2.values())], rows, ours.best))]


BLOCKS = {"synthesize": minority, "benchmark": bands}
