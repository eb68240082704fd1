"""Snakemake's executor for Slurm, mended: version 2.8 loses jobs where Slurm does not answer, and waits for them for ever."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any


class LosesNone:
    """What the executor does otherwise: a mix-in.

    A busy or absent controller does not answer in time. The executor then asks `sacct`, even where the profile says `squeue`, and without
    accounting that fails. It drops all jobs of a round in which nothing answers: here they are asked for again in the next one. While it
    asks, Snakemake would not know its jobs if it were interrupted: here they are cancelled, too.
    """

    cluster = "Slurm"
    _asked: Mapping[str, Any] = {}  # by the cluster's name of each, the jobs of the last round that have not ended

    async def check_active_jobs(self, active_jobs: Sequence[Any]) -> AsyncIterator[Any]:
        """Report jobs that have ended; the others are given back."""
        self._asked = {job.external_jobid: job for job in active_jobs}
        answered = set()
        async for job in super().check_active_jobs(active_jobs):  # type: ignore[misc]
            answered.add(job.external_jobid)
            yield job
        lost = {number: job for number, job in self._asked.items() if number not in answered}
        if lost:
            self.logger.warning(f"{self.cluster} does not say how its jobs {', '.join(lost)} are. Asking again.")  # type: ignore[attr-defined]
        for job in lost.values():
            yield job

    def report_job_success(self, job: Any) -> None:
        """Tell Snakemake that a job is done."""
        self._ended(job)
        super().report_job_success(job)  # type: ignore[misc]

    def report_job_error(self, job: Any, *given: Any, **options: Any) -> None:
        """Tell Snakemake that a job has failed."""
        self._ended(job)
        super().report_job_error(job, *given, **options)  # type: ignore[misc]

    def cancel_jobs(self, active_jobs: Sequence[Any]) -> None:
        """Cancel jobs, and those that are being asked for."""
        super().cancel_jobs(list({**self._asked, **{job.external_jobid: job for job in active_jobs}}.values()))  # type: ignore[misc]

    def _ended(self, job: Any) -> None:
        self._asked = {number: other for number, other in self._asked.items() if number != job.external_jobid}


def mend() -> None:
    """Have Snakemake use the mended executor, where the plugin is installed; for the Snakefile, which is read before one is made."""
    from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry

    plugin = ExecutorPluginRegistry().plugins.get("slurm")
    if plugin and not issubclass(plugin.executor, LosesNone):
        plugin.executor = type("Executor", (LosesNone, plugin.executor), {})
