"""Tables for papers: what is in them, and that LaTeX takes it."""

import numpy as np
import pandas as pd

from penumbra.report.columns import HEADLINE
from penumbra.report.format import Table
from penumbra.report.paper import headline, latex, markdown, scores


def detectors(scores: dict[str, str]) -> pd.DataFrame:
    """A table of detectors, each a point better than the one before it."""
    rows = []
    for place, (name, score) in enumerate(scores.items()):
        moments = {f"{column}_mean": 0.5 + (0.01 if higher else -0.01) * place for column, (_, higher) in HEADLINE.items()}
        rows.append({"detector": name, "score": score} | moments | {f"{column}_std": 0.0123 for column in HEADLINE})
    return pd.DataFrame(rows)


def test_another_headline_score_is_named_and_the_best_is_bold():
    lines = markdown(headline(detectors({"none": "energy", "sona-all": "energy", "clip": "neglabel"}))).splitlines()
    assert lines[1] == "|---|---:|---:|---:|---:|---:|"
    assert lines[2] == "| none | 50.0 ± 1.2 | 50.0 ± 1.2 | 50.0 ± 1.2 | 50.0 ± 1.2 | 50.0 ± 1.2 |"
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| none", "| sona-all", "| clip (neglabel)"]
    assert lines[4].count("**") == 10 and "**" not in lines[3]


def test_one_seed_has_no_spread():
    assert "| none | 50.0 | 50.0 |" in markdown(
        headline(detectors({"none": "energy"}).assign(**{f"{name}_std": np.nan for name in HEADLINE}))
    )


def test_latex_has_the_rules_of_booktabs_and_escapes_names_and_signs():
    table = Table(["a_b", "share, % ↓", "x"], [["max_logit & 5%", "12.3 ± 4.5", "–"], ["{#}", "1.0", "2"]], {(0, 1)})
    head, *lines = latex(table).splitlines()
    assert head == r"\begin{tabular}{lrr}" and lines[0] == r"\toprule" and lines[2] == r"\midrule" and lines[-2] == r"\bottomrule"
    assert lines[1] == r"a\_b & share, \% $\downarrow$ & x \\"
    assert lines[3] == r"max\_logit \& 5\% & \textbf{12.3 $\pm$ 4.5} & -- \\"
    assert lines[4] == r"\{\#\} & 1.0 & 2 \\"


def test_scores_stand_below_their_detector_near_beside_far():
    cells = [("none", score, group, group) for score in ("energy", "knn") for group in ("near", "far")] + [("none", "knn", "noise", "far")]
    table = pd.DataFrame(cells, columns=["detector", "score", "set", "group"])
    for place, metric in enumerate(("fpr95_id_tpr", "auroc")):
        table[f"{metric}_mean"] = 0.1 * np.arange(5) + 0.02 * place
        table[f"{metric}_std"] = np.nan
    made = scores(table)
    assert made.header[2:] == ["near FPR95 ↓", "near AUROC ↑", "far FPR95 ↓", "far AUROC ↑"]
    assert made.rows == [["none", "energy", "0.0", "2.0", "10.0", "12.0"], ["", "knn", "20.0", "22.0", "30.0", "32.0"]]
