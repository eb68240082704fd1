"""Snakemake's executor for Slurm loses no job where Slurm does not answer. tests/cluster has it on a real Slurm."""

import asyncio
from types import SimpleNamespace

import pytest

from penumbra.workflow import slurm


class Plugin:
    """As the plugin's executor does: of a round in which nothing answers it gives back no job."""

    def __init__(self, *answers):
        self.answers = iter(answers)
        self.logger = SimpleNamespace(warning=lambda text: self.said.append(text))
        self.said, self.done, self.failed, self.cancelled = [], [], [], []

    async def check_active_jobs(self, active_jobs):
        answer = next(self.answers)
        for job in active_jobs if answer is not None else []:
            state = answer.get(job.external_jobid)
            if state == "COMPLETED":
                self.report_job_success(job)
            elif state == "FAILED":
                self.report_job_error(job, msg="it failed")
            else:
                yield job
            if state == "interrupted":
                self.cancel_jobs([])  # Snakemake knows no job while these are asked for

    def report_job_success(self, job):
        self.done.append(job.external_jobid)

    def report_job_error(self, job, msg=None):
        self.failed.append((job.external_jobid, msg))

    def cancel_jobs(self, active_jobs):
        self.cancelled.append([job.external_jobid for job in active_jobs])


class Executor(slurm.LosesNone, Plugin):
    pass


JOBS = [SimpleNamespace(external_jobid=str(number)) for number in (1, 2, 3)]


def round_of(executor, jobs):
    """The jobs that are left after a round."""

    async def left():
        return [job async for job in executor.check_active_jobs(jobs)]

    return asyncio.run(left())


def test_jobs_that_nothing_answers_for_are_asked_for_again():
    executor = Executor(None, {"1": "COMPLETED", "2": "FAILED"}, {"3": "COMPLETED"})
    left = round_of(executor, JOBS)
    assert left == JOBS and "jobs 1, 2, 3" in executor.said.pop()
    left = round_of(executor, left)
    assert left == JOBS[2:] and executor.done == ["1"] and executor.failed == [("2", "it failed")]
    assert round_of(executor, left) == [] and executor.done == ["1", "3"] and not executor.said


def test_jobs_that_are_being_asked_for_are_cancelled_too_and_none_that_has_ended():
    executor = Executor({"1": "COMPLETED", "2": "interrupted"})
    round_of(executor, JOBS)
    assert executor.cancelled == [["2", "3"]]
    executor.cancel_jobs([*JOBS[1:], SimpleNamespace(external_jobid="4")])
    assert executor.cancelled[1] == ["2", "3", "4"]


def test_snakemake_has_the_mended_executor_of_the_plugin():
    plugin = pytest.importorskip("snakemake_executor_plugin_slurm")
    from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry

    slurm.mend()
    slurm.mend()
    found = ExecutorPluginRegistry().get_plugin("slurm").executor
    assert found.__mro__[1:3] == (slurm.LosesNone, plugin.Executor)
