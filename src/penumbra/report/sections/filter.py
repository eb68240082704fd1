"""The bands."""

from penumbra.benchmark import papers
from penumbra.report.content import Block, Results, Section, drawn
from penumbra.report.sections.calibrate import judges_of

TABLE_11 = "Bad-OOD, Table 11"


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
        f"P(OOD) of all candidates, whatever their method, by the initial detector {judges} (seed {min(results.params.train.seeds)}) "
        f"and its calibration; in the scores and results below it is each detector's own. Bounds of the mid band: {bounds}."
    )
    if not len(results.params.filter):
        return Section("filter", "The bands", [Block(text="Nothing is filtered in this experiment.")])
    return Section("filter", "The bands", drawn(results, "confidence", bands) + drawn(results, "distances", distances))


def _far(band: str) -> float:
    """The distance that the paper prints of a band."""
    return papers.value(papers.printed(TABLE_11, f"{band.capitalize()} confidence"), "feature distance")
