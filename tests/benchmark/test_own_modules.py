"""A method's own module is found by its name; a method without one has what all share."""

import os
import shutil
import sys
from dataclasses import replace
from functools import partial
from typing import ClassVar

import pandas as pd
import pytest

from penumbra.benchmark import methods
from penumbra.benchmark import step as benchmark
from penumbra.benchmark.rooms import rooms
from penumbra.report import methods as report_methods
from penumbra.report import step as report
from penumbra.report import style
from penumbra.stage import Params
from penumbra.values import Section
from synthetic_results import DETECTORS, GIVEN, benchmark_stage, report_stage, studied

TABLES = '''"""A method of somebody else."""

import pandas as pd

COLUMNS = ("stop",)


def tables(stage, found, made):
    """How many of its candidates stop where."""
    return {"stops": pd.concat(frame.stop.value_counts().reset_index() for frame in found.of("nowhere").values())}, {}
'''
BLOCKS = '''"""Its page."""

from penumbra.report.content import Block

BLOCKS = {"synthesize": lambda results: [Block(text=f"{len(results.of('nowhere'))} variants lead nowhere.")]}
'''


class Nowhere(Section):
    """Parameters of a method that this package does not know."""

    method: ClassVar[str] = "nowhere"
    steps: int


@pytest.fixture
def data(results_data, tmp_path):
    """Results with candidates of another method, which look like SONA's."""
    shutil.copytree(results_data, tmp_path / "data", copy_function=os.link)
    for place in ("outliers", "features/candidates"):
        (path,) = (tmp_path / "data" / place).glob("sona.*")
        shutil.copy(path, path.with_stem("other"))
    return tmp_path / "data"


@pytest.fixture
def run(results_data, data, tmp_path, monkeypatch):
    """Runs benchmark and report of two detectors, with a variant of the other method in their parameters; returns the page."""
    changes = {"calibrate": {"none": GIVEN["calibrate"]["none"]}, "benchmark.ablations": {}}
    changes |= {"train.detectors": {name: DETECTORS[name] for name in ("none", "sona-all")}}

    monkeypatch.setattr(style, "pdf", lambda drawn: b"%PDF")  # it takes its time

    def step(main, stage):
        main(replace(stage, params=stage.params.beside(synthesize={"other": Nowhere(steps=3)})))

    def both():
        step(benchmark.main, benchmark_stage(data, tmp_path / "reports", changes))
        study = studied(results_data)
        step(report.main, report_stage(data, tmp_path / "reports", tmp_path / "page", changes, study=study))
        return (tmp_path / "page/report.html").read_text()

    return both


def test_a_method_without_a_module_has_the_shared_tables_and_a_page(run, tmp_path):
    page = run()
    types = pd.read_csv(tmp_path / "reports/tables/types.csv")
    assert len(types[(types.method == "other") & (types.band == "all")]) == 1
    assert "other" not in pd.read_csv(tmp_path / "reports/tables/edits.csv").method.to_list()  # it looks like SONA's, and is not
    assert "other-edits" not in page


def test_a_module_of_its_name_adds_its_table_and_its_blocks(run, data, tmp_path, monkeypatch, request):
    for package, name, text in ((methods, "tables", TABLES), (report_methods, "blocks", BLOCKS)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "nowhere.py").write_text(text)
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
        request.addfinalizer(partial(sys.modules.pop, f"{package.__name__}.nowhere", None))
    page = run()
    stops = pd.read_csv(tmp_path / "reports/tables/stops.csv")
    candidates = pd.read_parquet(data / "outliers/other.parquet", columns=["stop"])
    assert stops["count"].sum() == len(candidates)
    assert "1 variants lead nowhere." in page


def test_rooms_are_those_of_methods_and_models_of_the_experiment():
    params = Params({"synthesize": {"a": Nowhere(steps=1)}, "pretrain": {"clip": Nowhere(steps=1), "encoder": Nowhere(steps=1)}})
    assert list(rooms(methods, params)) == ["clip"]
