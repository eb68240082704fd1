"""Fixtures that several rooms share: small results of an experiment, made up but of the real layout."""

from pathlib import Path

import pytest

from miniature import Miniature
from penumbra.stage import Stage
from synthetic_results import benchmark_stage, write_inputs


@pytest.fixture(scope="session")
def results_data(tmp_path_factory) -> Path:
    """A data/ folder with scores, selections, calibration, outliers and images; read-only by convention."""
    folder = tmp_path_factory.mktemp("results") / "data"
    write_inputs(folder)
    return folder


@pytest.fixture
def stage_of_benchmark(results_data, tmp_path) -> Stage:
    """The benchmark stage over `results_data`, writing below tmp_path."""
    return benchmark_stage(results_data, tmp_path / "reports")


@pytest.fixture(scope="session")
def built_miniature(tmp_path_factory) -> Miniature:
    """A miniature of the DAG, built and committed; copy it before changing it."""
    made = Miniature.create(tmp_path_factory.mktemp("dag") / "built")
    with pytest.MonkeyPatch.context() as monkeypatch:
        made.reproduce(monkeypatch)
    made.commit("built")
    made.reset()
    return made


@pytest.fixture
def miniature(built_miniature, tmp_path) -> Miniature:
    """A built miniature of one's own."""
    return built_miniature.copy(tmp_path / "dag")
