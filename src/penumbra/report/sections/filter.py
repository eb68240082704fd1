"""The bands."""

import pandas as pd

from penumbra.benchmark import papers
from penumbra.report.content import Block, Results, Section, drawn
from penumbra.report.format import Table, count, percent
from penumbra.report.sections.calibrate import judges_of
from penumbra.values import BANDS

TABLE_11 = "Bad-OOD, Table 11"
TOO_MANY = 0.3  # share of candidates that pass as ID, above which the step filter warns, too


def section(results: Results) -> Section:
    """The bands, and how far from their source the candidates of each lie."""
    bounds = "; ".join(f"{method}: {section.mid[0]:g} to {section.mid[1]:g}" for method, section in results.params.filter.items())
    printed = ", ".join(f"{band} {_far(band):g}" for band in ("high", "mid", "low"))
    samples = results.params.benchmark.distance_samples
    distances = (
        f"Feature distance of candidates from their source image, mean and standard deviation of {samples} random candidates of each band "
        f"({TABLE_11}: {printed}). The paper does not say which distance it averages, so all four are shown. "
        "Candidates without a source image have no distance."
    )
    judges = judges_of(results)
    bands = (
        f"P(OOD) of all candidates, whatever their method, by the detector {judges} ({_seeds(results)}) "
        f"and its calibration; in the scores and results below it is each detector's own. Bounds of the mid band: {bounds}."
        f"{_twins(results)}{_vetoed(results)}"
    )
    if not len(results.params.filter):
        return Section("filter", "The bands", [Block(text="Nothing is filtered in this experiment.")])
    blocks = drawn(results, "confidence", bands) + agreement(results.tables["agreement"]) + drawn(results, "distances", distances)
    return Section("filter", "The bands", blocks)


def _twins(results: Results) -> str:
    """Of which methods another image is judged than the one that a detector learns from."""
    names = [method for method, section in results.params.filter.items() if section.sees == "twin"]
    return f" Of {', '.join(names)} the unmoved twins are judged." if names else ""


def _vetoed(results: Results) -> str:
    """How many candidates a person has taken out, where somebody has reviewed them."""
    table = results.tables["calibrators"]
    parts = []
    for method, section in results.params.filter.items():
        if section.veto and method in results.candidates:
            left = table[(table.method == method) & table.chosen][list(BANDS)].to_numpy().sum()
            total = len(results.candidates[method])
            parts.append(f"{total - left} of {total} of {method}")
    return f" Vetoed by hand, and in none of the bands: {', '.join(parts)}." if parts else ""


def _seeds(results: Results) -> str:
    """Whose judgement counts, in words."""
    mean = {section.judges for _, section in results.params.calibrate.items()} == {"mean"}
    return "mean over its training seeds" if mean else f"seed {min(results.params.train.seeds)}"


def agreement(table: pd.DataFrame) -> list[Block]:
    """How many candidates pass as ID, and whether another training seed of the judge would have chosen the same ones.

    Args:
        table: reports/tables/agreement.csv.
    """
    if table.empty:
        return []
    caption = (
        f"Candidates that pass as ID where 95% of ID images do: above {TOO_MANY:.0%} (⚠) a method draws ID, and teaches a detector to "
        "reject it. Class kept: those that the judges, on average, take for the class they are made from. "
        "Beside them the agreement of judges that differ in their training seed alone, mean over pairs: share of candidates that both put "
        "into one band, and overlap of their mid bands (intersection over union), next to that of two random sets of the same sizes. "
        "Where the overlap is near chance, the mid band of one judge is its noise."
    )
    rows = [
        [
            row.method,
            *(percent(share) for share in (row.accepted, row.class_kept)),
            count(row.judges),
            *(percent(share) for share in (row.same_band, row.overlap, row.overlap_by_chance)),
        ]
        for row in table.itertuples()
    ]
    header = ["method", "pass as ID, %", "class kept, %", "judges", "same band, %", "overlap of mid, %", "by chance, %"]
    warned = {(place, 1) for place, share in enumerate(table.accepted) if share > TOO_MANY}
    return [Block(caption, table=Table(header, rows, warned=warned))]


def _far(band: str) -> float:
    """The distance that the paper prints of a band."""
    return papers.value(papers.printed(TABLE_11, f"{band.capitalize()} confidence"), "feature distance")
