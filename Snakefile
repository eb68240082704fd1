# How the stages of dvc.yaml run: commands, threads, memory, logs. What they read and write comes from dvc.yaml, by step name.
import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

min_version("9.27")
sys.path.insert(0, f"{workflow.basedir}/src")  # the code of this checkout,
os.environ["PYTHONPATH"] = os.pathsep.join(
    [f"{workflow.basedir}/src", os.environ.get("PYTHONPATH", "")]
)  # in the jobs too

from penumbra.errors import PenumbraError
from penumbra.params import validate
from penumbra.workflow import contract

try:
    validate(Path("params.yaml"))
except PenumbraError as error:
    raise WorkflowError(str(error))
dag = contract.load()
shards = int(config.get("shards", 1))


def parts_of_seeds():
    return min(shards, len(dag.parameters["train"]["seeds"]))


def separate(parts):
    return range(parts) if parts > 1 else []  # a single part is the whole


wildcard_constraints:
    item="[a-z0-9-]+",
    part=r"\d+",


localrules:
    all,


rule all:
    default_target: True
    input:
        dag.everything(),


include: "rules/prepare.smk"
include: "rules/pretrain.smk"
include: "rules/extract.smk"
include: "rules/synthesize.smk"
include: "rules/train.smk"
include: "rules/calibrate.smk"
include: "rules/filter.smk"
include: "rules/score.smk"
include: "rules/benchmark.smk"
include: "rules/report.smk"
