"""What was learnt, in a few sentences: what held, what is contradicted, what is undecided, what a correction leaves, the best detectors.

They are made from the claims about training of a study, or of one run where there is none; a number stands with its interval.
"""

import numpy as np
import pandas as pd

from penumbra.benchmark import claims
from penumbra.benchmark.intervals import CONTRADICTED, HELD, UNDECIDED
from penumbra.report import study
from penumbra.report.content import Frames
from penumbra.report.format import number
from penumbra.report.words import sides

NAMED = 10  # pairs of detectors that a sentence names at most
COMPARED = ["better", "worse", "score"]
PAPERS = ("energy", "neglabel")
SIGNIFICANT = 0.05  # p after Holm's correction below which a verdict stands


def of_study(studied: Frames) -> list[str]:
    """The sentences of a study.

    Args:
        studied: its tables claims and detectors.
    """
    table, detectors = _about_training(studied["claims"]), studied["detectors"]
    if table.empty:
        return [_best(detectors, "interval")]
    if table.low.isna().all():
        return ["With one generator seed nothing is decided: there is no interval.", _best(detectors, "interval")]
    decided = table[table.verdict != UNDECIDED]
    return [
        *_held(table, study.sizes(studied)),
        f"{_number(table, CONTRADICTED, 'No comparison')} contradicted{_effects(table, CONTRADICTED, ': ')}.",
        f"{_number(table, UNDECIDED, 'No comparison')} undecided, with an interval that holds 0{_nothing(table)}{_blunt(table)}.",
        *([_corrected(decided)] if len(decided) else []),
        _best(detectors, "interval"),
    ]


def of_run(tables: Frames, seeds: int) -> list[str]:
    """The sentences of one run, whose intervals are its pooled spread over training seeds.

    Args:
        tables: detectors and claims of reports/tables.
        seeds: how many training seeds it has.
    """
    rows, detectors = tables["detectors"], {}
    for name in ("near_auroc", "far_auroc"):
        mean, std = rows[f"{name}_mean"], rows[f"{name}_std"]
        detectors |= {name: mean, f"{name}_low": mean - std, f"{name}_high": mean + std}
    best = _best(rows[["detector"]].assign(**detectors), "spread")
    warning = "What holds for other generators, one run does not say: `make study` does."
    if seeds < 2:
        return ["With one training seed nothing is decided: there is no spread to compare with.", warning, best]
    table = _about_training(tables["claims"])
    if table.empty:
        return [best]
    table = table.assign(low=table.difference - table.pooled_std, high=table.difference + table.pooled_std)
    count = f"Of {len(table)} comparisons about training in this run, {_number(table, HELD)} held by more than the spread"
    held = _effects(table, HELD, " (in brackets: one spread less to one more): ")
    return [
        f"{count} over {seeds} training seeds{held}.",
        f"{_number(table, CONTRADICTED, 'No comparison')} contradicted by more than that{_effects(table, CONTRADICTED, ': ')}.",
        f"{_number(table, UNDECIDED, 'No comparison')} undecided, within the spread{_nothing(table)}.",
        warning,
        best,
    ]


def _about_training(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of claims about training, with columns better and worse, the detectors that they compare, and score, by which."""
    compared = sides()
    table = table[(table.about == study.TRAINING) & table.claim.isin(compared)]
    return table.assign(**{name: [compared[text][place] for text in table.claim] for place, name in enumerate(COMPARED)})


def _held(table: pd.DataFrame, over: str) -> list[str]:
    """What has held: a sentence for the papers' scores, and one for each score that is asked beside them."""
    asked = table.score.where(~table.score.isin(PAPERS), "")  # "" stands for the papers' scores
    sentences = []
    for score, rows in table.groupby(asked, sort=False):
        by = f" by {score}" if score else " by the papers' scores" if asked.any() else ""
        what = "comparisons about training" if not sentences else "comparisons"
        count = f"Of {len(rows)} {what}{by}{f', over {over}' if not sentences else ''}, {_number(rows, HELD)} held"
        sentences.append(f"{count}{_effects(rows, HELD, ': ' if sentences else ' (in brackets the 95% interval): ', by=not score)}.")
    return sentences


def _number(table: pd.DataFrame, verdict: str, nothing: str = "none") -> str:
    """How many have a verdict, with the verb: "1 is", "none has"."""
    count = int((table.verdict == verdict).sum())
    one, many = ("has", "have") if verdict == HELD else ("is", "are")
    return f"{count or nothing} {many if count > 1 else one}"


def _effects(table: pd.DataFrame, verdict: str, before: str, by: bool = True) -> str:
    """What the rows of a verdict say, after `before`, and by which score if `by`; nothing where there are none."""
    rows = table[table.verdict == verdict]
    said = []
    for (better, worse, score), part in rows.groupby(COMPARED, sort=False):
        first, *others = [f"{_verb(row)} {_effect(row)}" for row in part.itertuples()]
        verbs = _listed([first.format(f"of `{worse}` "), *(other.format("") for other in others)])
        said.append(f"`{better}`{_by(score) if by else ''} {verbs}")
    return before + _listed(said, "; ") if said else ""


def _by(score: str) -> str:
    """By which score detectors are compared, where it is not the one that papers compare them by."""
    return "" if score in PAPERS else f" (by {score})"


def _verb(row: tuple) -> str:
    """What the better detector does to a measure, with a place for whose it is."""
    metric, _, group = row.measure.partition(" ")
    rises = (claims.METRICS[metric][1] > 0) == (row.difference > 0)
    return f"{'raises' if rises else 'lowers'} the {group} {metric} {{}}by"


def _effect(row: tuple) -> str:
    """The size of an effect in points with its interval, as it is spoken."""
    low, high = sorted(abs(100 * end) for end in (row.low, row.high))
    return f"{_short(abs(100 * row.difference))} points ({_short(low)} to {_short(high)})"


def _short(value: float) -> str:
    """One digit after the point; more where it would be 0 and is not."""
    return number(value, next((digits for digits in (1, 2, 3) if round(value, digits) > 0), 1))


def _nothing(table: pd.DataFrame) -> str:
    """The pairs of detectors between which nothing is decided."""
    undecided = [pair for pair, part in table.groupby(COMPARED, sort=False) if (part.verdict == UNDECIDED).all()]
    said = [f"between `{better}` and `{worse}`{_by(score)}" for better, worse, score in undecided]
    return f": nothing is decided {_listed(said)}" if said else ""


def _blunt(table: pd.DataFrame) -> str:
    """How large an effect had to be, to be seen."""
    sizes = 100 * table.detectable[table.verdict == UNDECIDED].dropna()
    if sizes.empty:
        return ""
    return (
        f"; to be seen four times in five, a difference had to be {_short(sizes.min())} points in the sharpest of them, "
        f"{_short(sizes.max())} in the bluntest"
    )


def _corrected(decided: pd.DataFrame) -> str:
    """What stands when all comparisons of a family count."""
    stands = decided.p_holm < SIGNIFICANT
    count = int(stands.sum())
    lead = f"After Holm's correction for all comparisons of {study.FAMILY}, {count or 'none'} of these {len(decided)} verdicts "
    few = 2 * count <= len(decided)  # the shorter list is read
    said = [
        f"`{row.better}`{_by(row.score)} {_verb(row).format(f'of `{row.worse}` ').removesuffix(' by')}"
        for row in decided[stands if few else ~stands].itertuples()
    ]
    before = ": " if few else "; what does not: "
    return f"{lead}{'stand' if count > 1 else 'stands'}{before if said else ''}{_listed(said, '; ')}."


def _best(detectors: pd.DataFrame, what: str) -> str:
    """Whose mean AUROC is greatest near and far, and how many others reach into its interval.

    Args:
        detectors: columns detector, GROUP_auroc, GROUP_auroc_low, GROUP_auroc_high.
        what: lies between low and high.
    """
    said = []
    for group in ("near", "far"):
        values, low, high = (detectors[f"{group}_auroc{end}"] for end in ("", "_low", "_high"))
        if values.isna().all():
            continue
        first, others = int(np.nanargmax(values)), len(detectors) - 1
        least, most = low.iloc[first], high.iloc[first]
        within = f"{what} {number(100 * least, 1)} to {number(100 * most, 1)}" if pd.notna(least) else ""
        within += f"; {int((high >= least).sum()) - 1} of {others} others overlap" if within and others else ""
        verb = "" if said else "has the greatest mean AUROC "
        value = f"{number(100 * values.iloc[first], 1)}%{f' ({within})' if within else ''}"
        said.append(f"`{detectors.detector.iloc[first]}` {verb}on {group} OOD, {value}")
    return f"{', and '.join(said)}." if said else "No detector has been scored."


def _listed(words: list[str], between: str = ", ") -> str:
    """Words as a list that is read aloud, at most NAMED of them."""
    if len(words) > NAMED:
        words = [*words[:NAMED], f"{len(words) - NAMED} more"]
    if len(words) < 2:
        return "".join(words)
    last = f"{between.rstrip()} and " if between == "; " else " and "
    return f"{between.join(words[:-1])}{last}{words[-1]}"
