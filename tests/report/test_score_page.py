"""The section of the scores: those that are asked for have tables of their own."""

import pandas as pd

from penumbra.report.sections.score import asked, sweeps


def test_a_score_that_is_asked_for_is_a_row_and_a_detector_a_column():
    rows = [("none", "vim", 0.9), ("clip", "vim", 0.8), ("none", "ash-s", 0.75)]
    table = pd.DataFrame(
        [
            {"detector": detector, "score": score, "set": group, "group": group, "auroc_mean": value - shift}
            for detector, score, value in rows
            for group, shift in {"near": 0, "far": 0.1, "letters": 0.2}.items()
        ]
    )
    near, far = asked(table)
    assert near.table.header == ["score", "none", "clip"] and near.caption.startswith("AUROC in percent on near OOD")
    assert near.table.rows == [["vim", "90.0", "80.0"], ["ash-s", "75.0", "–"]]
    assert far.table.rows == [["vim", "80.0", "70.0"], ["ash-s", "65.0", "–"]]
    assert asked(table[:0]) == []


def test_what_sweeps_took_is_said_by_detector():
    rows = [("react-swept", "none", seed, f"quantile {value}", auroc, taken) for seed, value, auroc, taken in TRIED]
    rows += [("gen-swept", "none", seed, "classes all", 0.5, True) for seed in (0, 1)]
    table = pd.DataFrame(rows, columns=["score", "detector", "seed", "values", "auroc", "taken"])
    (block,) = sweeps(table)
    assert block.table.header == ["score", "detector", "taken", "tried", "worst", "best"]
    assert block.table.rows == [
        ["react-swept", "none", "quantile 0.9 (1x); quantile 0.99 (1x)", "2", "65.0", "85.0"],
        ["gen-swept", "none", "classes all", "1", "50.0", "50.0"],
    ]
    assert sweeps(None) == []


TRIED = [(0, 0.9, 0.8, True), (0, 0.99, 0.7, False), (1, 0.9, 0.6, False), (1, 0.99, 0.9, True)]
