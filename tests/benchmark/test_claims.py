"""Claims: the direction in which they hold, what is compared, and that their numbers are printed."""

import importlib
import pkgutil

import numpy as np
import pandas as pd
import pytest

from penumbra.benchmark import claims, methods, papers
from penumbra.benchmark.claims import Measured
from penumbra.benchmark.found import Found
from penumbra.benchmark.methods import synood
from penumbra.benchmark.metrics import METRICS

COLUMNS = {name: column for name, (column, _) in claims.METRICS.items()}
MODULES = [importlib.import_module(f"{methods.__name__}.{found.name}") for found in pkgutil.iter_modules(methods.__path__)]


def claims_by(measure):
    return [claim for claim in claims.read() if claim.measure == measure]


def measured(tables=None, outliers=None):
    frames = {} if outliers is None else {"synood": pd.DataFrame({"loss": list(outliers)})}
    found = Found({}, frames, {}, dict.fromkeys(frames, "synood"), {}, {})
    return Measured(tables or {}, found)


def rows(of, **value_of_score):
    return pd.DataFrame(
        {of[0]: of[1], "score": score, "mode": score, "set": group, "group": group}
        | {f"{metric}_mean": value for metric in METRICS}
        | {f"{metric}_std": 0.01 for metric in METRICS}
        for score, value in value_of_score.items()
        for group in ("near", "far")
    )


@pytest.mark.parametrize(("fpr95", "auroc"), [("held", "contradicted"), ("contradicted", "held")])
def test_a_claim_holds_where_fpr_is_lower_or_auroc_is_higher(fpr95, auroc):
    low, high = (0.3, 0.4), (0.8, 0.9)
    of_fpr = (low[0], high[0]) if fpr95 == "held" else (high[0], low[0])
    of_auroc = (high[1], low[1]) if auroc == "held" else (low[1], high[1])
    scores = [
        {"detector": detector, "set": group, "score": score}
        | {f"{COLUMNS['FPR95']}_mean": of_fpr[i if paper else 0], f"{COLUMNS['AUROC']}_mean": of_auroc[i if paper else 0]}
        | {f"{column}_std": 0.01 for column in COLUMNS.values()}
        for i, detector in enumerate(("badood-mid", "badood-all"))
        for group in ("near", "far")
        for score, paper in {"energy": True, "vim": False}.items()
    ]
    by_energy, by_vim = ([claim for claim in claims_by("detectors") if claim.of == score] for score in ("energy", "vim"))
    compared = claims.detectors(by_energy[0], measured({"scores": pd.DataFrame(scores)}))
    found = {row["measure"]: row["verdict"] for row in compared}
    assert found == {"FPR95 near": fpr95, "FPR95 far": fpr95, "AUROC near": auroc, "AUROC far": auroc}
    assert (by_energy[0].better, by_energy[0].worse) == (by_vim[0].better, by_vim[0].worse)
    compared = claims.detectors(by_vim[0], measured({"scores": pd.DataFrame(scores)}))
    assert {row["verdict"] for row in compared} == {"undecided"}  # by the other score they are equal


def test_negative_labels_are_compared_with_none():
    (claim,) = claims_by("scores")
    table = rows(("detector", "clip"), mcm=0.7, neglabel=0.8)
    found = {row["measure"]: row for row in claims.scores(claim, measured({"scores": table}))}
    assert found["AUROC far"]["verdict"] == "held" and found["FPR95 far"]["verdict"] == "contradicted"
    assert found["AUROC far"]["paper_worse"] == 0.9077 and np.isnan(found["AUROC near"]["paper_worse"])
    assert claims.scores(claim, measured({"scores": rows(("detector", "clip"), energy=0.7)})) == []


def test_the_unified_claim_compares_the_headline_point_of_each_mode():
    """Further points of the curves follow the headline's and are not claimed."""
    table = pd.concat(rows(("detector", "good-all"), **{mode: value}) for mode, value in POINTS)
    per_set, id_only = (claims.unified(claim, measured({"unified": table})) for claim in claims_by("unified"))
    found = {row["measure"]: (row["verdict"], row["paper_better"]) for row in per_set}
    assert found["AUROC near"] == ("held", 0.9628) and found["FPR95 near"] == ("contradicted", 0.1770)
    (auroc,) = (row for row in id_only if row["measure"] == "AUROC near")
    assert auroc["verdict"] == "contradicted" and np.isnan(auroc["paper_better"])
    assert [claim.source for claim in claims_by("unified")] == ["GOOD, Table 3", claims.NOT_CLAIMED]


@pytest.mark.parametrize(("own", "expected"), [(0.6, "held"), (0.9, "contradicted")])
def test_edits_as_a_test_set_are_compared_with_others_of_the_same_detector(own, expected):
    """Of a lower AUROC, which is the harder set; far sets of the same name are others."""
    table = pd.DataFrame(
        {"detector": detector, "set": name, "group": group, "score": "energy"}
        | {f"{metric}_mean": value for metric in METRICS}
        | {f"{metric}_std": 0.01 for metric in METRICS}
        for detector, name, group, value in [
            ("sona-none", "sona-test", "near", own),
            ("sona-none", "ssb_hard", "near", 0.8),
            ("sona-none", "ssb_hard", "far", 0.1),
            ("sona-all", "ninco", "near", 0.8),
        ]
    )
    ssb, ninco = claims_by("sets")
    found = {row["measure"]: row for row in claims.sets(ssb, measured({"scores": table}))}
    assert found["AUROC"]["verdict"] == expected != found["FPR95"]["verdict"]
    assert (found["AUROC"]["paper_better"], found["AUROC"]["paper_worse"]) == (0.678, 0.7983) and np.isnan(found["FPR95"]["paper_better"])
    assert claims.sets(ninco, measured({"scores": table})) == []


POINTS = (("energy", 0.5), ("per-set", 0.9), ("id-only", 0.2), ("per-set", 0.1))


def test_the_share_of_images_whose_loss_falls():
    (claim,) = claims_by("loss")
    losses = np.array([[5.0, 9.0, 1.0], [5.0, 4.0, 2.0], [5.0, 5.0, 5.0], [5.0, 6.0, 0.5]])
    (row,) = synood.loss(claim, measured(outliers=losses))
    assert row["claim"].startswith("synood: the OOD loss is lower")
    assert row["better"] == 0.75 and row["worse"] == 0.25 and row["verdict"] == "held"
    assert row["better_std"] == pytest.approx(np.sqrt(0.75 * 0.25 / 4))
    assert synood.loss(claim, measured(outliers=-losses))[0]["verdict"] == "contradicted"
    assert synood.loss(claim, measured(outliers=losses[:, :1])) == []


@pytest.mark.parametrize("claim", claims.read(), ids=lambda claim: claim.text[:40])
def test_every_claim_has_a_comparison_and_its_numbers_are_printed(claim):
    known = set(claims.COMPARISONS).union(*(getattr(module, "COMPARISONS", ()) for module in MODULES))
    assert claim.measure in known and claim.about in ("training", "other")
    paper, _ = papers.place(claim.source)
    assert claim.source == claims.NOT_CLAIMED or paper in set(papers.read("papers").paper)
    assert bool(claim.paper_better) == bool(claim.paper_worse)
    if claim.paper_better:
        both = [papers.printed(claim.source, row) for row in (claim.paper_better, claim.paper_worse)]
        assert set(both[0]) & set(both[1])


def test_claims_of_methods_that_the_experiment_lacks_are_left_out():
    empty = pd.DataFrame(
        columns=["detector", "score", "mode", "set", "group", "method", "drawn", "distance", "band", "count", "calibrator", "kind"]
    )
    tables = dict.fromkeys(("scores", "unified", "distances", "calibrators", "shift"), empty)
    found = claims.claims_table(measured(tables, outliers=np.array([[2.0, 1.0]])), {})
    assert found.empty
    found = claims.claims_table(measured(tables, outliers=np.array([[2.0, 1.0]])), synood.COMPARISONS)
    assert found.source.tolist() == ["SynOOD, 3.3"]
