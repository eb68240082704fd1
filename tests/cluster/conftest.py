"""One Slurm for all tests of this folder."""

from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
import slurm
from login_node import configure

from miniature import Miniature


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure shows what Slurm has to say."""
    report = yield
    running = getattr(item, "funcargs", {}).get("cluster")
    if report.failed and report.when == "call" and running:
        report.sections.append(("Slurm", running.situation()))
    return report


@pytest.fixture(scope="session")
def cluster(tmp_path_factory) -> Iterator[slurm.Slurm]:
    """A running Slurm, which commands of this process find."""
    if reason := slurm.missing():
        pytest.skip(reason)
    running = slurm.Slurm(tmp_path_factory.mktemp("cluster") / "slurm")
    with pytest.MonkeyPatch.context() as patched:
        for name, value in running.env.items():
            patched.setenv(name, value)
        try:
            yield running.begin()
        finally:
            running.end()


@pytest.fixture
def on(cluster, monkeypatch) -> Callable[..., Path]:
    """Has the commands of a miniature use the cluster, by a profile with other settings."""

    def choose(miniature: Miniature, shards: int = 1, **settings: object) -> Path:
        monkeypatch.setenv("PENUMBRA_PROFILE", "slurm")
        return configure(miniature, shards, **settings)

    return choose
