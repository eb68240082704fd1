"""One Slurm for all tests of this folder."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import slurm
from ruamel.yaml import YAML

from miniature import Miniature


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
    """Has the commands of a miniature use a copy of profiles/slurm with other settings, as a user has for a cluster of one's own."""

    def choose(miniature: Miniature, shards: int = 1, **settings: object) -> Path:
        yaml, folder = YAML(), miniature.root / "profiles/slurm"
        profile = yaml.load(folder / "config.yaml")
        profile |= {"slurm-init-seconds-before-status-checks": 3, "latency-wait": 10, **settings}
        profile["config"] = [f"shards={shards}", "gpu_model=fake", "gpu_mem_mb=5000"]
        yaml.dump(profile, folder / "config.yaml")
        monkeypatch.setenv("PENUMBRA_PROFILE", "slurm")
        return folder

    return choose
