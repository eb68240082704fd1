"""One remote for many: clone on the login node, pull, run what changed on the cluster, push; the next has it without a computation."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import ssh
from login_node import configure

from miniature import Miniature

CHANGE = "train.detectors.sona-all.recipe", "energy"
ON_THE_CLUSTER = {"train_sona_all": "gpu", "infer_sona_all": "gpu", "score_control_reconstruction": "gpu", "score_sona_all": "cpu"}
RUN = {"train@sona-all", "infer@sona-all", "score-control@reconstruction", "score@sona-all", "benchmark", "report"}


@dataclass
class Remote:
    """A folder in which DVC keeps data, and the SSH server through which it can be had, if there is one."""

    folder: Path
    server: ssh.Server | None

    def clone(self, origin: Miniature, root: Path, by_ssh: bool) -> Miniature:
        """A fresh clone of a git repository that knows this remote."""
        origin.run("git", "clone", "-q", str(origin.root), str(root))
        made = Miniature(root)
        self.name(made, by_ssh)
        return made

    def name(self, miniature: Miniature, by_ssh: bool) -> None:
        """Make it the remote of a repository."""
        url = f"ssh://root@127.0.0.1:{self.server.port}{self.folder}" if self.server and by_ssh else str(self.folder)
        miniature.dvc("remote", "add", "-q", "-d", "--local", "store", url)
        if self.server and by_ssh:
            miniature.dvc("remote", "modify", "-q", "--local", "store", "keyfile", str(self.server.key))


@pytest.fixture(scope="module")
def remote(cluster, tmp_path_factory) -> Iterator[Remote]:
    folder = tmp_path_factory.mktemp("remote")
    server = None if ssh.missing() else ssh.Server(folder / "ssh")
    yield Remote(folder / "store", server)
    if server:
        server.end()


@pytest.fixture(scope="module")
def published(built, remote, tmp_path_factory) -> Miniature:
    """A finished experiment in git and in the remote."""
    made = built("sona").copy(tmp_path_factory.mktemp("published") / "dag")
    remote.name(made, by_ssh=False)
    made.dvc("push", "-q", "--run-cache")
    return made


@pytest.fixture(scope="module")
def first(cluster, remote, published, tmp_path_factory) -> Miniature:
    """A clone on the login node with pulled data, in which a change was run on the cluster, and pushed."""
    made = remote.clone(published, tmp_path_factory.mktemp("first") / "dag", by_ssh=True)
    made.dvc("pull", "-q")
    made.change_param(*CHANGE)
    configure(made)
    made.before = {job["JobId"] for job in cluster.jobs()}
    made.penumbra("repro", PENUMBRA_PROFILE="slurm")
    made.dvc("push", "-q", "--run-cache")
    return made


def test_after_clone_and_pull_only_what_changed_runs_on_the_cluster_and_is_pushed(cluster, remote, first, published):
    jobs = [job for job in cluster.jobs() if job["JobId"] not in first.before]
    assert {job["Comment"].removeprefix("rule_"): job["Partition"] for job in jobs} == ON_THE_CLUSTER and len(jobs) == len(ON_THE_CLUSTER)
    assert first.counters() == Counter(RUN)
    assert "up to date" in first.dvc("status", "dvc.yaml").stdout
    assert "Cache and remote 'store' are in sync" in first.dvc("status", "--cloud").stdout
    if not remote.server:
        pytest.skip(f"passed with a remote in a shared directory, not over SSH: {ssh.missing()}")


@pytest.mark.parametrize("by_ssh", [True, False], ids=["ssh", "shared_directory"])
def test_a_second_user_who_makes_the_same_change_needs_no_job_and_so_no_gpu(remote, published, first, tmp_path, by_ssh):
    if by_ssh and not remote.server:
        pytest.skip(ssh.missing())
    second = remote.clone(published, tmp_path / "second", by_ssh)
    second.dvc("pull", "-q", "--run-cache")
    second.change_param(*CHANGE)
    configure(second, retries=0)
    (tmp_path / "nowhere").touch()  # no job can be submitted; for a file that is not there Slurm's commands wait a minute
    nowhere = {"PENUMBRA_PROFILE": "slurm", "SLURM_CONF": str(tmp_path / "nowhere")}
    refused = second.penumbra("run", "train@sona-all", check=False, **nowhere)
    assert refused.returncode and not second.counters()

    second.dvc("repro", "--pull", **nowhere)
    assert second.counters() == {"benchmark": 1, "report": 1}  # DVC pushes no output that git keeps; these need no job
    assert second.outputs() == first.outputs()
    assert (second.root / "dvc.lock").read_text() == (first.root / "dvc.lock").read_text()
