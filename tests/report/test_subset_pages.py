"""Any method alone has results and a page, which show what there is, though results of all others lie in the same folders."""

import re

import pandas as pd
import pytest

from penumbra.benchmark.step import main as run_benchmark
from penumbra.report.step import main
from synthetic_results import DETECTORS, benchmark_stage, report_stage

SOURCES = {  # experiment: papers whose claims it can test
    "badood": {"Bad-OOD"},
    "good": {"GOOD"},
    "sona": {"SONA"},
    "synood": {"SynOOD"},
    "clip": {"SynOOD"},
}


@pytest.mark.parametrize("name", SOURCES)
def test_a_method_alone_has_a_page_of_what_there_is(results_data, tmp_path, name):
    benchmark = benchmark_stage(results_data, tmp_path / "reports", name=name)
    run_benchmark(benchmark)
    stage = report_stage(results_data, tmp_path / "reports", tmp_path / "page", name=name)
    main(stage)
    page, own = (tmp_path / "page/report.html").read_text(), set(benchmark.params.train.detectors)
    scored = pd.read_csv(tmp_path / "reports/tables/detectors.csv", keep_default_na=False).detector
    assert set(scored) == own and not [other for other in set(DETECTORS) - own if f">{other}<" in page]
    assert not re.search(r">\s*(nan|NaN|None)\b|nan ±|± nan|\bnan%", page)
    assert all("<td" in body for body in re.findall(r"<tbody>(.*?)</tbody>", page, re.DOTALL))
    assert not re.search(r"<figure>\s*<figcaption>|<p>\s*</p>|</h2>\s*</section>", page)
    claims = pd.read_csv(tmp_path / "reports/tables/claims.csv")
    assert {source.partition(",")[0] for source in claims.source} - {"(no paper)"} == SOURCES[name]
    assert ('id="clip"' in page) == (name in ("synood", "clip")) and ("lead" in page)
