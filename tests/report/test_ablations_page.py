"""The page of the ablations on made-up results."""

from dataclasses import replace
from xml.etree import ElementTree

import pandas as pd
import pytest

from penumbra.benchmark.ablations import main as run_benchmark
from penumbra.report.ablations import family_table, main
from penumbra.stage import Stage
from synthetic_results import ABLATIONS, ablations_stage


@pytest.fixture(scope="module")
def stage(results_data, tmp_path_factory):
    reports = tmp_path_factory.mktemp("page") / "reports"
    benchmark = ablations_stage(results_data, reports)
    run_benchmark(benchmark)
    writes = {"ablations": reports / "ablations.html", "figures-ablations": reports / "figures-ablations"}
    return Stage("report", "ablations", benchmark.params, {}, {"tables/ablations": benchmark.write()}, writes, reports.parent / "scratch")


def test_every_variant_and_its_paper_number_is_on_the_page(stage):
    main(stage)
    page = stage.write("ablations").read_text()
    for name, family in ABLATIONS.items():
        assert f'<section id="{name}">' in page and family["title"] in page
        assert all(f">{label}<" in page for label in family["variants"].values())
    assert ">92.8<" in page and 'src="data:image/svg' in page and "<script" not in page


def test_families_whose_labels_hold_numbers_have_curves(stage, tmp_path):
    again = {"ablations": tmp_path / "ablations.html", "figures-ablations": tmp_path / "figures-ablations"}
    main(replace(stage, writes=again, scratch_root=tmp_path / "scratch"))
    assert {path.stem for path in again["figures-ablations"].iterdir()} == {"weight", "stop", "amount"}
    for path in again["figures-ablations"].iterdir():
        ElementTree.parse(path)
        assert path.read_bytes() == (stage.write("figures-ablations") / path.name).read_bytes()
    assert again["ablations"].read_bytes() == stage.write("ablations").read_bytes()


def test_columns_without_a_number_are_left_out(stage):
    table = pd.read_csv(stage.read("tables/ablations"), keep_default_na=False, na_values=[""])
    of_good, of_sona = (family_table(table[table.family == name].reset_index(drop=True)) for name in ("weight", "stop"))
    assert "paper AUROC" in of_good.header and "paper near AUROC" not in of_good.header and "score" in of_good.header
    assert "paper near AUROC" in of_sona.header and "distance" in of_sona.header and "score" not in of_sona.header
    assert all(len(row) == len(of_sona.header) for row in of_sona.rows)
