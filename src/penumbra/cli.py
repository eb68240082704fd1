"""The command line: one sub-command for each step, and the commands that run, plan, check and record the DAG."""

import argparse
import importlib
import os
import sys
import time
from pathlib import Path

from penumbra.errors import PenumbraError

STEPS = {
    "prepare": "sources named in params.yaml -> data/images/: ID, calibration OOD and every test set",
    "pretrain": "images -> data/models/MODEL: a frozen model, trained here or imported",
    "extract": "images and a model -> data/features/MODEL.safetensors: ID representations",
    "synthesize": "features, models and images -> data/outliers/METHOD.parquet: candidate outliers",
    "train": "images and selected outliers -> data/detectors/DETECTOR: outlier-exposure training",
    "calibrate": "initial detector and held-out images -> data/calibration/METHOD.json: score -> probability",
    "filter": "outliers, initial detector and calibration -> data/selections/METHOD.parquet: confidence and band",
    "score": "a detector and all test sets -> data/scores/DETECTOR.parquet: every OOD score",
    "benchmark": "all scores -> reports/metrics.json, reports/tables, reports/plots",
    "report": "tables, plots and outliers -> reports/report.html, reports/figures",
}
OVERVIEW = """\
Penumbra synthesises outliers, keeps the ones that teach, trains detectors on them and scores the result.

  dvc repro               run what changed and what follows from it, one stage after the other
  penumbra repro          the same with Snakemake, in parallel; `--dry` says what would run, why and for how long
  dvc exp run -S KEY=V    the same with another parameter, kept as an experiment
"""


def _part(text: str) -> tuple[int, int]:
    index, _, count = text.partition("/")
    if not (index.isdecimal() and count.isdecimal() and int(index) < int(count)):
        raise argparse.ArgumentTypeError(f"{text!r} is not INDEX/COUNT, such as 0/2")
    return int(index), int(count)


def parser() -> argparse.ArgumentParser:
    """The argument parser; imports nothing heavy."""
    top = argparse.ArgumentParser("penumbra", description=OVERVIEW, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def add(name: str, text: str, example: str) -> argparse.ArgumentParser:
        return commands.add_parser(
            name, help=text, description=f"{text}\n\nExample: {example}", formatter_class=argparse.RawDescriptionHelpFormatter
        )

    run = add("run", "run stages alone through Snakemake, as dvc.yaml's commands do", "penumbra run train@badood-mid")
    run.add_argument("stages", nargs="+", metavar="STAGE", help="name in dvc.yaml")
    repro = add("repro", "run what changed in parallel, and record it with DVC", "penumbra repro --dry benchmark")
    repro.add_argument("stages", nargs="*", metavar="STAGE", help="names in dvc.yaml; what they need is run first (default: all)")
    repro.add_argument("--dry", action="store_true", help="only say what will run and why, what may run, and the recorded seconds")
    record = add("record", "record edited docstrings and comments without running anything", "penumbra record")
    record.add_argument("stages", nargs="*", metavar="STAGE", help="names in dvc.yaml (default: all that changed)")
    contract = add("contract", "compare dvc.yaml's code and libraries with what the steps import", "penumbra contract --write")
    contract.add_argument("--write", action="store_true", help="mend dvc.yaml and environment.yaml in place")
    add("cost", "gather seconds and peak memory of the last runs into reports/plots/cost.csv", "penumbra cost")
    add("headline", "print the headline table of reports/metrics.json", "penumbra headline")
    for name, text in STEPS.items():
        step = add(name, text, f"penumbra {name}   (`dvc repro` does this when it is due)")
        step.add_argument("item", nargs="?", metavar="ITEM", help="item of the step in dvc.yaml")
        step.add_argument("--part", type=_part, metavar="I/N", help="do one part of the units, and assemble nothing")
    return top


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the `penumbra` command."""
    if arguments is None:
        _use_checkout()
    options = parser().parse_args(arguments)
    try:
        _dispatch(options)
    except PenumbraError as error:
        sys.exit(f"penumbra: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


def _use_checkout() -> None:
    """Start again with the code of the working directory if that is another checkout, as in `dvc exp run --temp`."""
    source, path = Path("src").resolve(), os.environ.get("PYTHONPATH", "")
    other = (source / "penumbra/cli.py").exists() and source not in Path(__file__).resolve().parents
    if other and not path.startswith(f"{source}{os.pathsep}"):
        os.environ["PYTHONPATH"] = f"{source}{os.pathsep}{path}"
        os.execv(sys.executable, [sys.executable, *sys.argv])


def _dispatch(options: argparse.Namespace) -> None:
    if options.command in STEPS:
        return step(options.command, options.item, options.part)
    # imported here: each command loads only what it needs
    if options.command == "cost":
        from penumbra.workflow.cost import gather

        return gather()
    if options.command == "headline":
        from penumbra.workflow.headline import headline

        return print(headline(Path("reports/metrics.json")))
    if options.command == "contract":
        from penumbra.workflow.mend import check, write

        return write() if options.write else check()
    if options.command == "record":
        from penumbra.workflow import contract
        from penumbra.workflow.record import record

        return record(contract.load(), options.stages)
    from penumbra.params import validate
    from penumbra.workflow import contract

    validate(Path("params.yaml"))
    if options.command == "run":
        from penumbra.workflow.execute import run

        return run(contract.load(), options.stages)
    from penumbra.workflow.repro import repro

    return repro(contract.load(), options.stages, options.dry)


def step(name: str, item: str | None, part: tuple[int, int] | None) -> None:
    """Run one step in this process."""
    from penumbra import kernels
    from penumbra.workflow import closure, contract, libraries

    stage = contract.load().stage(name, item, part)
    libraries.check_installed(stage.versions)
    kernels.use(stage.params["common"]["kernels"])  # before the step imports numpy or torch
    module = importlib.import_module(closure.entry(name, item))
    start = time.monotonic()
    module.main(stage)
    print(f"{stage.name}: worked {time.monotonic() - start:.2f} s", file=sys.stderr)
