"""Bad-OOD: what detectors learn from the bands of its candidates, beside the paper's Tables 1, 2 and 7."""

import pandas as pd

from penumbra.benchmark import papers
from penumbra.benchmark.found import Found, Frames
from penumbra.stage import Stage

TABLE_2 = ("fpr95_id_tpr", "auroc", "aupr_in", "aupr_out")  # the paper does not say which class its AUPR counts as positive
PRINTED = ("FPR95", "AUROC", "AUPR")  # FPR95 with ID positive


def tables(stage: Stage, found: Found, made: Frames) -> tuple[Frames, Frames]:
    """The table of the bands."""
    return {"bands": bands_table(made["detectors"])}, {}


def bands_table(detectors: pd.DataFrame) -> pd.DataFrame:
    """The rows of tables/detectors.csv that the paper has too, in the layout of Table 2, with the paper's numbers beside them."""
    rows = {}
    for each in papers.beside("bands").itertuples():
        numbers = papers.printed(each.source, each.row)
        rows[each.name] = {f"paper_{metric.lower()}": papers.value(numbers, metric, "average") for metric in PRINTED}
    paper = pd.DataFrame.from_dict(rows, orient="index")
    ours = [f"{group}_{metric}_{moment}" for metric in TABLE_2 for group in ("near", "far") for moment in ("mean", "std")]
    chosen = detectors.set_index("detector")[["bands", "outliers", *ours]]
    return paper.join(chosen, how="inner").reset_index(names="detector")
