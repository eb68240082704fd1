"""Fixtures that several rooms share: small results of an experiment, made up but of the real layout."""

import shutil
from collections.abc import Callable, Iterator
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
def once(tmp_path_factory, request) -> Callable[[str, Callable[[Path], object]], Path]:
    """Has a folder filled by the first process of the tests that asks for it; copy what is in it before changing it."""
    folder = tmp_path_factory.getbasetemp()
    if hasattr(request.config, "workerinput"):  # of pytest-xdist
        folder = folder.parent

    def made(name: str, fill: Callable[[Path], object]) -> Path:
        with FileLock(folder / f"{name}.lock"):
            if not (folder / f"{name}.made").exists():
                shutil.rmtree(folder / name, ignore_errors=True)  # of a process that failed
                fill(folder / name)
                (folder / f"{name}.made").touch()
        return folder / name

    return made


@pytest.fixture(scope="session")
def built_miniature(once) -> Iterator[Miniature]:
    """A miniature of the DAG, built and committed."""

    def build(folder: Path) -> None:
        made = Miniature.create(folder / "built")
        with pytest.MonkeyPatch.context() as inner:
            made.reproduce(inner)
        made.commit("built")
        made.reset()

    with parsing_once():
        yield Miniature(once("dag", build) / "built")


@pytest.fixture
def miniature(built_miniature, tmp_path) -> Miniature:
    """A built miniature of one's own."""
    return built_miniature.copy(tmp_path / "dag")
