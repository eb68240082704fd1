"""Fixtures that several rooms share: small results of an experiment, made up but of the real layout."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from miniature import Miniature
from penumbra.stage import Stage
from penumbra.workflow.repository import parsing_once
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
def built_miniature(tmp_path_factory, request) -> Iterator[Miniature]:
    """A miniature of the DAG, built and committed by the first process of the tests that asks for it; copy it before changing it."""
    folder = tmp_path_factory.getbasetemp()
    if hasattr(request.config, "workerinput"):  # of pytest-xdist
        folder = folder.parent
    with parsing_once():
        with FileLock(folder / "built.lock"):
            made = Miniature(folder / "dag/built")
            if not (folder / "built").exists():
                shutil.rmtree(made.root, ignore_errors=True)  # of a process that failed
                made = Miniature.create(made.root)
                with pytest.MonkeyPatch.context() as inner:
                    made.reproduce(inner)
                made.commit("built")
                made.reset()
                (folder / "built").touch()
        yield made


@pytest.fixture
def miniature(built_miniature, tmp_path) -> Miniature:
    """A built miniature of one's own."""
    return built_miniature.copy(tmp_path / "dag")
