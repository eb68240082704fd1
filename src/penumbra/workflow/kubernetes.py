"""Snakemake's executor for Kubernetes, for a volume that all pods share: version 0.5 takes for granted that there is none."""

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from penumbra.workflow.slurm import LosesNone

PRODUCT = "nvidia.com/gpu.product"  # a node's label, by NVIDIA's GPU feature discovery
MINE = "PENUMBRA_"  # variables of the environment that jobs have, too


class SharesFiles(LosesNone):
    """What the executor does otherwise: a mix-in.

    It would copy sources and data to an object store and back. Here a job works in the checkout, which lies on a volume that every pod
    has at the same path. It knows no time limit and no kind of GPU, and has the log of a failed job from a container that was started
    again, which none is: the API server refuses, and with that the whole run ends.
    """

    cluster = "Kubernetes"
    _job: Any = None

    @property
    def batchapi(self) -> Any:
        """The client's part for jobs, which completes what it creates; the executor makes a new one when its token has expired."""
        return self._batchapi

    @batchapi.setter
    def batchapi(self, api: Any) -> None:
        create = api.create_namespaced_job
        api.create_namespaced_job = lambda namespace, body: create(namespace, completed(body, self._job))
        self._batchapi = api

    @property
    def kubeapi(self) -> Any:
        """The client's part for pods, which always has a log to show."""
        return self._kubeapi

    @kubeapi.setter
    def kubeapi(self, api: Any) -> None:
        api.read_namespaced_pod_log = _readable(api.read_namespaced_pod_log)
        self._kubeapi = api

    def run_job(self, job: Any) -> None:
        """Submit a job."""
        self._job = job
        super().run_job(job)  # type: ignore[misc]


def completed(body: Any, job: Any) -> Any:
    """The Kubernetes job of a job of Snakemake with what the executor leaves out: folder, environment, time limit, kind of GPU.

    Args:
        body: V1Job of one container.
        job: its resources say `runtime`, in minutes, and `gpu_model`, if a kind is asked for.
    """
    from kubernetes.client import V1EnvVar

    pod = body.spec.template.spec
    container = pod.containers[0]
    container.working_dir = os.getcwd()
    container.env += [V1EnvVar(name=name, value=value) for name, value in sorted(os.environ.items()) if name.startswith(MINE)]
    pod.active_deadline_seconds = 60 * job.resources.get("runtime")  # of the pod, not of the job, whose time begins in the queue
    if model := job.resources.get("gpu_model"):
        pod.node_selector = {**(pod.node_selector or {}), PRODUCT: model}
    return body


def _readable(read: Callable[..., str]) -> Callable[..., str]:
    """The client's call for a pod's log: of its only container, and where there is none the reason."""
    from kubernetes.client.rest import ApiException

    def log(**given: Any) -> str:
        try:
            return read(**{**given, "previous": False})
        except ApiException as error:
            return f"Kubernetes has no log of this pod: {error.reason}"

    return log


def mend() -> None:
    """Have Snakemake use the mended executor, where the plugin is installed; for the Snakefile, which is read before one is made."""
    from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry

    plugin = ExecutorPluginRegistry().plugins.get("kubernetes")
    if plugin and not issubclass(plugin.executor, SharesFiles):
        plugin.executor = type("Executor", (SharesFiles, plugin.executor), {})
        shared = {"implies_no_shared_fs": False, "job_deploy_sources": False, "auto_deploy_default_storage_provider": False}
        plugin.common_settings = replace(plugin.common_settings, **shared)
