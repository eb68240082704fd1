"""The sentences that say what was learnt: which numbers stand in them, and that none says more than its interval."""

import pandas as pd

from penumbra.report import learnt

ALONE = "Training on mid-confidence outliers is better than on ID alone"  # badood-mid, none
ALL = "Mid-confidence outliers teach more than all of them"  # badood-mid, badood-all
NOISE = "Minority guidance is better than Gaussian noise, by ViM"  # badood-mid, badood-gaussian-mid
CLIP = "CLIP with a projection and negative labels trained on SynOOD's outliers is better than zero-shot CLIP with negative labels"


def study(*rows: tuple) -> dict[str, pd.DataFrame]:
    """A study with rows claim, measure, difference, low, high, p_holm, verdict, and three detectors."""
    claims = pd.DataFrame(rows, columns=["claim", "measure", "difference", "low", "high", "p_holm", "verdict"])
    claims = claims.assign(about="training", detectable=claims.difference.abs() + 0.01, generator_seeds=6, training_seeds=5)
    detectors = pd.DataFrame({"detector": ["none", "badood-mid", "sona-all"]})
    for group, values in {"near": (0.95, 0.97, 0.96), "far": (0.9, 0.99, 0.98)}.items():
        detectors[f"{group}_auroc"] = values
        detectors[f"{group}_auroc_low"] = [value - 0.006 for value in values]
        detectors[f"{group}_auroc_high"] = [value + 0.006 for value in values]
    return {"claims": claims, "detectors": detectors}


HELD = [
    (ALONE, "FPR95 far", 0.11, 0.037, 0.184, 0.18, "held"),
    (ALONE, "AUROC far", 0.0294, 0.0221, 0.0367, 0.002, "held"),
    (ALONE, "FPR95 near", 0.0272, 0.000211, 0.0542, 0.2, "held"),
]
OTHERS = [
    (CLIP, "FPR95 near", -0.0391, -0.0753, -0.00287, 0.117, "contradicted"),
    (ALL, "AUROC near", 0.001, -0.01, 0.012, 1.0, "undecided"),
    (ALL, "AUROC far", 0.002, -0.15, 0.152, 1.0, "undecided"),
    (CLIP, "AUROC near", 0.001, -0.01, 0.012, 1.0, "undecided"),
]


def test_a_study_says_what_held_what_did_not_and_what_is_left_after_correction():
    held, contradicted, undecided, corrected, best = learnt.of_study(study(*HELD, *OTHERS))
    assert held == (
        "Of 7 comparisons about training, over 6 generator seeds with 5 training seeds each, 3 have held (in brackets the 95% interval): "
        "`badood-mid` lowers the far FPR95 of `none` by 11.0 points (3.7 to 18.4), raises the far AUROC by 2.9 points (2.2 to 3.7) and "
        "lowers the near FPR95 by 2.7 points (0.02 to 5.4)."
    )
    assert contradicted == "1 is contradicted: `clip-synood` raises the near FPR95 of `clip` by 3.9 points (0.3 to 7.5)."
    assert undecided == (
        "3 are undecided, with an interval that holds 0: nothing is decided between `badood-mid` and `badood-all`; to be seen four times "
        "in five, a difference had to be 1.1 points in the sharpest of them, 1.2 in the bluntest."
    )
    assert corrected == (
        "After Holm's correction for all comparisons of the same paper, or of a question that no paper asks, 1 of these 4 verdicts "
        "stands: `badood-mid` raises the far AUROC of `none`."
    )
    assert best == (
        "`badood-mid` has the greatest mean AUROC on near OOD, 97.0% (interval 96.4 to 97.6; 1 of 2 others overlap), "
        "and `badood-mid` on far OOD, 99.0% (interval 98.4 to 99.6; 1 of 2 others overlap)."
    )


def test_what_held_by_another_score_than_the_papers_has_a_sentence_of_its_own():
    table = study(
        *HELD,
        (f"{ALL}, by ViM", "AUROC far", 0.02, 0.01, 0.03, 0.01, "held"),
        (NOISE, "AUROC far", -0.02, -0.03, -0.01, 0.01, "contradicted"),
    )
    first, other, contradicted, *_ = learnt.of_study(table)
    assert first.startswith(
        "Of 3 comparisons about training by the papers' scores, over 6 generator seeds with 5 training seeds each, 3 have held"
    )
    assert "`badood-all`" not in first
    assert other == "Of 2 comparisons by vim, 1 has held: `badood-mid` raises the far AUROC of `badood-all` by 2.0 points (1.0 to 3.0)."
    assert contradicted.startswith("1 is contradicted: `badood-mid` (by vim) lowers the far AUROC of `badood-gaussian-mid`")


def test_after_correction_the_shorter_list_is_named():
    """Of four verdicts three stand: the one that does not is named."""
    rows = [(*row[:5], 0.01, row[6]) for row in HELD]
    corrected = learnt.of_study(study(*rows, *OTHERS))[3]
    assert corrected.endswith("3 of these 4 verdicts stand; what does not: `clip-synood` raises the near FPR95 of `clip`.")


def test_where_nothing_is_decided_nothing_is_claimed():
    """No sentence has a detector that does something to another."""
    found = learnt.of_study(study(*OTHERS[1:3]))
    assert found[0].endswith("none has held.") and found[1] == "No comparison is contradicted." and len(found) == 4
    assert not [sentence for sentence in found if " raises " in sentence or " lowers " in sentence]
    one = study((ALL, "AUROC far", 0.02, None, None, None, "undecided"))
    assert learnt.of_study(one)[0] == "With one generator seed nothing is decided: there is no interval."


def test_a_long_list_ends_with_how_many_more_there_are():
    assert learnt._listed([str(place) for place in range(12)]) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"
    assert learnt._listed(["a", "b", "c"], "; ") == "a; b; and c" and learnt._listed(["a"]) == "a"


def run(seeds: int) -> list[str]:
    """The sentences of a run."""
    claims = study((ALONE, "AUROC far", 0.03, 0, 0, 1, "held"), (ALL, "FPR95 near", -0.05, 0, 0, 1, "contradicted"))["claims"]
    detectors = pd.DataFrame({"detector": ["none", "badood-mid"]})
    for group in ("near", "far"):
        detectors = detectors.assign(**{f"{group}_auroc_mean": [0.9, 0.95], f"{group}_auroc_std": 0.01 if seeds > 1 else float("nan")})
    return learnt.of_run({"claims": claims.assign(pooled_std=0.02), "detectors": detectors}, seeds)


def test_one_run_says_that_it_is_one():
    held, contradicted, undecided, warning, best = run(3)
    assert held.endswith("`badood-mid` raises the far AUROC of `none` by 3.0 points (1.0 to 5.0).") and "1 has held by more than" in held
    assert contradicted.endswith("`badood-mid` raises the near FPR95 of `badood-all` by 5.0 points (3.0 to 7.0).")
    assert undecided.startswith("No comparison is undecided") and "one run does not say" in warning
    assert "`badood-mid` on far OOD, 95.0% (spread 94.0 to 96.0; 0 of 1 others overlap)" in best


def test_one_training_seed_decides_nothing():
    first, warning, best = run(1)
    assert "nothing is decided" in first and "on far OOD, 95.0%." in best


def test_without_comparisons_there_are_the_best_detectors_alone():
    empty = study(*HELD)
    assert len(learnt.of_study(empty | {"claims": empty["claims"].assign(about="other")})) == 1
