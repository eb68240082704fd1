"""The page counts what a person has vetoed, and says nothing where nobody has looked."""

from types import SimpleNamespace

import pandas as pd

from penumbra.filter.params import Filter
from penumbra.report.sections import filter as section
from penumbra.stage import Params


def results(veto):
    bounds = {"judge": "none", "mid": [0.3, 0.5], "upper": [0.5, 0.7]}
    judged = {"badood": Filter(**bounds, veto=veto), "sona": Filter(**bounds)}
    rows = [("badood", "beta", 4, 3, 1, True), ("badood", "platt", 8, 0, 0, False), ("sona", "beta", 1, 1, 1, True)]
    table = pd.DataFrame(rows, columns=["method", "calibrator", "low", "mid", "high", "chosen"])
    frames = {"badood": pd.DataFrame(index=range(10)), "sona": pd.DataFrame(index=range(3))}
    return SimpleNamespace(params=SimpleNamespace(filter=Params(judged)), tables={"calibrators": table}, candidates=frames)


def test_vetoed_candidates_are_counted():
    assert section._vetoed(results("vetoes/badood.csv")) == " Vetoed by hand, and in none of the bands: 2 of 10 of badood."


def test_nothing_is_said_where_nobody_has_reviewed():
    assert section._vetoed(results(None)) == ""
