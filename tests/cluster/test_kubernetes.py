"""The jobs of profiles/kubernetes, as the executor's own code writes them. No cluster runs them: an API in this process does."""

import re
from pathlib import Path

import pytest
from kubernetes_api import Cluster
from ruamel.yaml import YAML

from miniature import Miniature

PLUGIN = "snakemake_executor_plugin_kubernetes"
pytest.importorskip(PLUGIN, reason="snakemake-executor-plugin-kubernetes is not installed: pip install 'penumbra[kubernetes]'")
kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed: make cluster")

PROFILE = Path(__file__).parents[2] / "profiles/kubernetes"
CHANGE = "train.detectors.sona-all.recipe", "energy"
RUN = {"train@sona-all", "infer@sona-all", "score-control@reconstruction", "score@sona-all", "benchmark", "report"}
AS_SENT_TO = {"apiVersion": "batch/v1", "kind": "Job"}  # the address, which says it for the executor
DAY, HOURS = 24 * 3600, 4 * 3600


@pytest.fixture
def miniature(built, tmp_path) -> Miniature:
    """A finished experiment, in which a parameter was changed."""
    made = built("sona").copy(tmp_path / "volume/dag")
    made.change_param(*CHANGE)
    return made


@pytest.fixture
def api(miniature, tmp_path):
    """A Kubernetes that has the volume, and a profile for it."""
    yaml, file = YAML(), miniature.root / "profiles/kubernetes/config.yaml"
    profile = yaml.load(file)
    profile |= {"seconds-between-status-checks": 1, "latency-wait": 10}
    profile["kubernetes-persistent-volumes"] = [f"penumbra:{tmp_path / 'volume'}"]
    profile["config"] = ["shards=1", "gpu_model=fake", "gpu_mem_mb=5000"]
    yaml.dump(profile, file)
    (tmp_path / "node").mkdir()
    running = Cluster(tmp_path / "node", miniature.env)
    yield running
    running.end()


def valid(thing):
    """Raise where something is not as Kubernetes' schema says, or says more."""
    kubernetes_validate.validate(thing, kubernetes_validate.latest_version(), strict=True)


def rule(job):
    """The rule that a job runs."""
    return re.search(r"--allowed-rules (\S+)", container(job)["args"][1])[1]


def pod(job):
    return job["spec"]["template"]["spec"]


def container(job):
    return pod(job)["containers"][0]


def test_the_jobs_are_valid_ask_for_what_the_rules_say_and_give_the_bytes_of_other_engines(miniature, api, tmp_path, monkeypatch):
    undisturbed = miniature.copy(tmp_path / "undisturbed")
    undisturbed.reproduce(monkeypatch)
    monkeypatch.chdir(tmp_path)
    api.kill_next, api.deaf = "score_sona_all", 2
    env = {"PENUMBRA_PROFILE": "kubernetes", "KUBECONFIG": str(api.kubeconfig), "PENUMBRA_INFERENCE_BATCH": "8"}
    done = miniature.penumbra("repro", **env)
    assert miniature.counters() == dict.fromkeys(RUN, 1) and miniature.outputs() == undisturbed.outputs()
    assert "Kubernetes does not say how its jobs" in done.stdout + done.stderr

    names = ["train_sona_all", "infer_sona_all", "score_control_reconstruction", "score_sona_all"]
    jobs = {name: [job for job in api.submitted if rule(job) == name] for name in names}
    assert sorted(map(len, jobs.values())) == [1, 1, 1, 2] and sum(map(len, jobs.values())) == len(api.submitted)
    killed, again = jobs["score_sona_all"]
    assert [container(job)["resources"]["limits"]["memory"] for job in (killed, again)] == ["2000M", "4000M"]
    for job in api.submitted:
        valid(AS_SENT_TO | job)
        assert container(job)["image"] == "penumbra:0.1.0"
        assert container(job)["workingDir"] == str(miniature.root)
        assert {"name": "penumbra", "mountPath": str(tmp_path / "volume")} in container(job)["volumeMounts"]
        assert {"name": "penumbra", "persistentVolumeClaim": {"claimName": "penumbra"}} in pod(job)["volumes"]
        assert {"name": "PENUMBRA_INFERENCE_BATCH", "value": "8"} in container(job)["env"]
    for name in names[:3]:
        (job,) = jobs[name]
        asked = container(job)["resources"]
        assert asked["limits"]["nvidia.com/gpu"] == asked["requests"]["nvidia.com/gpu"] == "1" and asked["limits"]["memory"] == "5000M"
        assert pod(job)["nodeSelector"] == {"nvidia.com/gpu.product": "fake"}
    for job in (killed, again):
        assert "nvidia.com/gpu" not in container(job)["resources"]["requests"] | container(job)["resources"]["limits"]
        assert not pod(job).get("nodeSelector") and not pod(job).get("tolerations")
    times = {name: pod(jobs[name][0])["activeDeadlineSeconds"] for name in names}
    assert times == {names[0]: DAY, names[1]: HOURS, names[2]: HOURS, names[3]: HOURS}


def test_a_job_that_fails_for_good_fails_its_stage_alone_with_the_end_of_its_log(miniature, api):
    env = {"PENUMBRA_PROFILE": "kubernetes", "KUBECONFIG": str(api.kubeconfig)}
    api.env["MINIATURE_FAILS"] = "block-1"
    failed = miniature.penumbra("repro", "infer@sona-all", check=False, **env)
    assert failed.returncode == 1 and [rule(job) for job in api.submitted] == ["train_sona_all"] * 3  # and two retries
    assert "train@sona-all: failed." in failed.stderr and "RuntimeError: block-1 of train@sona-all fails" in failed.stderr


def test_what_the_cluster_needs_is_valid_and_has_the_names_of_the_profile():
    profile = YAML(typ="safe").load(PROFILE / "config.yaml")
    needed = {each["kind"]: each for each in YAML(typ="safe").load_all(PROFILE / "cluster.yaml")}
    for each in needed.values():
        valid(each)
    assert needed.keys() == {"PersistentVolumeClaim", "ServiceAccount", "Role", "RoleBinding", "Pod"}
    spec = needed["Pod"]["spec"]
    claim, path = profile["kubernetes-persistent-volumes"][0].split(":")
    assert needed["PersistentVolumeClaim"]["metadata"]["name"] == claim == spec["volumes"][0]["persistentVolumeClaim"]["claimName"]
    assert (spec["containers"][0]["image"], spec["containers"][0]["volumeMounts"][0]["mountPath"]) == (profile["container-image"], path)
