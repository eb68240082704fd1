"""The calibration."""

from penumbra.report.content import Block, Results, Section, drawn
from penumbra.report.format import Table, count, number


def judges_of(results: Results) -> str:
    """The detectors that judge candidates, in words."""
    return " and ".join(results.params.calibrate)


def section(results: Results) -> Section:
    """How well each calibrator turns the score into a probability (the role of Bad-OOD, Table 6)."""
    table = results.tables["calibrators"]
    if table.empty:
        return Section("calibrate", "The calibration", [Block(text="No candidates are judged in this experiment.")])
    scores = [name for name in table if name not in ("method", "calibrator", "chosen", "low", "mid", "high")]
    rows = [
        [
            f"{row['calibrator']}{' (filters)' if row['chosen'] else ''}",
            *(number(row[name], 4) for name in scores),
            *(count(row[b]) for b in ("low", "mid", "high")),
        ]
        for row in table.to_dict("records")
    ]
    header = ["calibrator", *(name.upper() for name in scores), "keeps low", "mid", "high"]
    methods = " and ".join(table.method.unique())
    judges = judges_of(results)
    caption = (
        "Validation ID against calibration OOD, cross-fitted; lower is better. "
        "A calibrator is monotone, so it moves no ROC curve by itself, but for ties where P(OOD) rounds to 0 or 1 or its map is flat: "
        "what it changes is which candidates lie between the bounds of the mid band, in the last three columns"
        f"{f' (candidates of {methods} alone)' if methods else ''}."
    )
    reliability = (
        f"Reliability of {judges}: share of OOD among images of equal predicted P(OOD), cross-fitted; the area of a dot is the number "
        "of images."
    )
    blocks = [Block(caption, table=Table(header, rows)), *drawn(results, "reliability", reliability)]
    return Section("calibrate", "The calibration", blocks)
