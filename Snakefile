# How the stages of dvc.yaml run: commands, threads, memory, logs. What they read and write comes from dvc.yaml, by stage.
import os
import sys

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

min_version("9.27")
sys.path.insert(0, f"{workflow.basedir}/src")  # the code of this checkout,
os.environ["PYTHONPATH"] = os.pathsep.join(
    [f"{workflow.basedir}/src", os.environ.get("PYTHONPATH", "")]
)  # in the jobs too

from penumbra.errors import PenumbraError
from penumbra.workflow import code, contract, devices, execute, kubernetes, slurm

slurm.mend()
kubernetes.mend()
try:
    dag = contract.load()
    if not contract.CODE.exists():  # of which the rules are made
        execute.write_code(dag, code.entries(dag))
    declared = execute.declared(dag)
except PenumbraError as error:
    raise WorkflowError(str(error))
shards = int(config.get("shards", 1))
seeds = min(shards, len(dag.experiment.train.seeds))
jobs = []


def job(
    stage,
    threads=1,
    gpu=0,
    mem_mb=2000,
    runtime=60,
    priority=0,
    parts=1,
    local=False,
    processes=1,
):
    """Have a stage done by jobs; `local` says that it only moves files, which needs no queue."""
    resources = {"runtime": runtime}
    if gpu:  # a job that needs none asks for none, not for 0
        resources["gpu"] = gpu
        mem_mb = max(mem_mb, int(config.get("gpu_mem_mb", 0)))
        resources |= {"gpu_model": config["gpu_model"]} if "gpu_model" in config else {}
    resources["mem_mb"] = (
        lambda wildcards, attempt: mem_mb * attempt
    )  # it may be what the last attempt died of
    jobs.append((stage, threads, resources, priority, parts, local, processes))


if "image" in config:  # with `software-deployment-method: apptainer`

    container: config["image"]


rule all:
    default_target: True
    input:
        [path for stage in dag.stages.values() for path in stage.outputs],
    localrule: True


include: "rules/prepare.smk"
include: "rules/pretrain.smk"
include: "rules/extract.smk"
include: "rules/synthesize.smk"
include: "rules/equip.smk"
include: "rules/train.smk"
include: "rules/calibrate.smk"
include: "rules/filter.smk"
include: "rules/infer.smk"
include: "rules/score.smk"
include: "rules/rerun.smk"
include: "rules/grid.smk"
include: "rules/benchmark.smk"
include: "rules/report.smk"
include: "rules/job.smk"


if config.get("own_gpu"):
    devices.tell(stage.name for stage, _, resources, *_ in jobs if "gpu" in resources)
