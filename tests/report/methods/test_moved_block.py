"""What the page says of candidates that were moved."""

from types import SimpleNamespace

import pandas as pd

from penumbra.report.methods import moved
from penumbra.report.sections import filter as filter_section


def test_the_block_has_the_step_of_each_variant_and_what_it_did():
    frames = {
        "near": pd.DataFrame({"mean_before": [4.0, 2.0, 1.0, 1.0], "mean_after": [3.0, 1.0, 2.0, 0.5]}),
        "far": pd.DataFrame({"mean_before": [4.0], "mean_after": [5.0]}),
    }
    params = SimpleNamespace(synthesize={"near": SimpleNamespace(toward=0.1), "far": SimpleNamespace(toward=-0.01)})
    (block,) = moved.moved(SimpleNamespace(of=lambda method: frames if method == "moved" else {}, params=params))
    assert block.table.rows == [["near", "+0.1", "4", "2.000", "1.625", "75.0"], ["far", "-0.01", "1", "4.000", "5.000", "0.0"]]
    assert moved.moved(SimpleNamespace(of=lambda method: {})) == []


def test_a_candidate_says_its_scale_and_its_step():
    made = moved.far(pd.DataFrame({"scale": [0.05, 0.025], "toward": [0.1, -0.01]}))
    assert [text.replace("\N{NO-BREAK SPACE}", " ") for text in made] == ["scale 0.05, 0.1 toward", "scale 0.025, 0.01 away"]


def test_the_page_names_the_methods_whose_twins_are_judged():
    sections = {"badood": SimpleNamespace(sees=None), "near": SimpleNamespace(sees="twin"), "far": SimpleNamespace(sees="twin")}
    results = SimpleNamespace(params=SimpleNamespace(filter=sections))
    assert filter_section._twins(results) == " Of near, far the unmoved twins are judged."
    del sections["near"], sections["far"]
    assert filter_section._twins(results) == ""
