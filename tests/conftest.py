"""Fixtures that several rooms share: small results of an experiment, made up but of the real layout."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from miniature import Miniature
from penumbra.stage import Stage
from penumbra.workflow.repository import sparing
from shared_folders import filled
from synthetic_results import benchmark_stage, write_inputs


@pytest.fixture(scope="session")
def results_data(once) -> Path:
    """A data/ folder with scores, selections, calibration, outliers and images; read-only by convention."""
    return once("results", lambda folder: write_inputs(folder / "data")) / "data"


@pytest.fixture
def stage_of_benchmark(results_data, tmp_path) -> Stage:
    """The benchmark stage over `results_data`, writing below tmp_path."""
    return benchmark_stage(results_data, tmp_path / "reports")


@pytest.fixture(scope="session")
def once(tmp_path_factory, request) -> Callable[[str, Callable[[Path], object]], Path]:
    """Has a folder of that name filled by the first process of the tests that asks for it; copy what is in it before changing it."""
    folder = tmp_path_factory.getbasetemp()
    if hasattr(request.config, "workerinput"):  # of pytest-xdist
        folder = folder.parent
    return lambda name, fill: filled(folder / name, fill)


@pytest.fixture(scope="session")
def built(once) -> Iterator[Callable[..., Miniature]]:
    """A miniature of the DAG of an experiment of conf/, by default of params.yaml; built and committed. Copy it."""

    def build(folder: Path, experiment: str | None) -> None:
        made = Miniature.create(folder / "built", experiment)
        with pytest.MonkeyPatch.context() as inner:
            made.reproduce(inner)
        made.commit("built")
        made.reset()

    with sparing():
        yield lambda experiment=None: Miniature(once(f"dag-{experiment}", lambda folder: build(folder, experiment)) / "built")


@pytest.fixture
def miniature(built, tmp_path) -> Miniature:
    """A built miniature of one's own, of a method alone: what takes its time is proportional to the stages."""
    return built("sona").copy(tmp_path / "dag")


@pytest.fixture
def whole(built, tmp_path) -> Miniature:
    """A built miniature of one's own, of all stages."""
    return built().copy(tmp_path / "dag")
