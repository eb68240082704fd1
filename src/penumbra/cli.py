"""The command line: one sub-command for each step, and the commands that run, plan, check and record the DAG."""

import argparse
import gc
import importlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from penumbra.errors import PenumbraError
from penumbra.predict.help import EXPORT, PREDICT
from penumbra.terminal import reader_may_leave
from penumbra.workflow.arguments import add_openood

STEPS = {
    "code": "source files -> code.json: what each stage's program means, and the versions of its libraries",
    "prepare": "sources named in params.yaml -> data/images/: ID, calibration OOD and every test set",
    "pretrain": "images -> data/models/MODEL: a frozen model, trained here or imported",
    "extract": "images and a model -> data/features/MODEL.safetensors: ID representations",
    "synthesize": "features, models and images -> data/outliers/METHOD.parquet: candidate outliers",
    "equip": "models and features -> data/recipes/RECIPE: a recipe with what it needs beside images and outliers",
    "train": "images and selected outliers -> data/detectors/DETECTOR: outlier-exposure training",
    "calibrate": "a detector and held-out images -> data/calibration/DETECTOR.json: score -> probability",
    "filter": "outliers, a detector and its calibration -> data/selections/METHOD.parquet: confidence and band",
    "infer": "a detector and all images -> data/outputs/DETECTOR: logits and features, from one forward pass",
    "score": "the outputs of a detector -> data/scores/DETECTOR.parquet: every OOD score of every test image",
    "rerun": "a detector and all images -> data/scores/rerun/DETECTOR.parquet: scores for which the network runs again",
    "grid": "images of semantic by covariate shift -> data/grids/NAME.parquet, data/scores/grid/DETECTOR.parquet: every score of them",
    "benchmark": "all scores -> reports/metrics.json, reports/tables, reports/plots",
    "report": "tables, plots and outliers -> reports/report.html, reports/figures, reports/paper",
}
OVERVIEW = """\
Penumbra synthesises outliers, keeps the ones that teach, trains detectors on them and scores the result.

  dvc repro               run what changed and what follows from it, one stage after the other
  penumbra repro          the same with Snakemake, in parallel; `--dry` says what would run, why and for how long
  dvc exp run -S KEY=V    the same with another parameter, kept as an experiment
  penumbra configure KEY=V   only change params.yaml, comments and all
  penumbra doctor --files    whether it can start: every file that it needs, with its licence
  penumbra plan           CPU hours, disk and files of each stage
  penumbra compare A B    two runs side by side
  penumbra review METHOD  look through its candidates in a browser, and veto some
  penumbra predict D IMG  ask the trained detector D about pictures
  penumbra export D DIR   write it as a directory that opens anywhere, with ONNX or torch.export
  penumbra openood DIR    scores and metrics in the files of OpenOOD's evaluator
"""


def _part(text: str) -> tuple[int, int]:
    index, _, count = text.partition("/")
    if not (index.isdecimal() and count.isdecimal() and int(index) < int(count)):
        raise argparse.ArgumentTypeError(f"{text!r} is not INDEX/COUNT, such as 0/2")
    return int(index), int(count)


COLLECT = 100_000  # new objects between looks for garbage; with Python's 700 these looks are a fifth of importing torch and diffusers
Add = Callable[[str, str, str], argparse.ArgumentParser]  # of a command: its name, what it does, an example


def parser() -> argparse.ArgumentParser:
    """The argument parser; imports nothing heavy."""
    top = argparse.ArgumentParser("penumbra", description=OVERVIEW, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def add(name: str, text: str, example: str) -> argparse.ArgumentParser:
        return commands.add_parser(
            name, help=text, description=f"{text}\n\nExample: {example}", formatter_class=argparse.RawDescriptionHelpFormatter
        )

    _add_engines(add)
    _add_experiments(add)
    _add_detectors(add)
    for name, text in STEPS.items():
        step = add(name, text, f"penumbra {name}   (`dvc repro` does this when it is due)")
        step.add_argument("item", nargs="?", metavar="ITEM", help="NAME of STEP@NAME; `dvc stage list` has them")
        step.add_argument("--part", type=_part, metavar="I/N", help="do one part of the blocks, and assemble nothing")
    return top


def _add_engines(add: Add) -> None:
    run = add("run", "run stages alone through Snakemake, as dvc.yaml's commands do", "penumbra run train@badood-mid")
    run.add_argument("stages", nargs="*", metavar="STAGE", help="names in dvc.yaml (default: the one whose command this is, in DVC)")
    repro = add("repro", "run what changed in parallel, and record it with DVC", "penumbra repro --dry benchmark")
    repro.add_argument("stages", nargs="*", metavar="STAGE", help="names in dvc.yaml; what they need is run first (default: all)")
    repro.add_argument("--dry", action="store_true", help="only say what will run and why, what may run, and the recorded seconds")
    add("plan", "CPU hours, disk and files of each stage of the experiment, before any has run", "penumbra plan")
    doctor = add("doctor", "say whether a run can start; mend what killed runs and a failing disk leave behind", "penumbra doctor --files")
    doctor.add_argument("--files", action="store_true", help="list what the experiment needs, with licences; check what needs no GPU")
    doctor.add_argument("--verify", action="store_true", help="hash every object of DVC's cache again, and move the damaged away")
    doctor.add_argument("--mend", action="store_true", help="bring back the last good dvc.lock where one was cut")


def _add_experiments(add: Add) -> None:
    add("headline", "print the headline table of reports/metrics.json", "penumbra headline")
    compare = add("compare", "compare the parameters and results of two runs, one row a detector", "penumbra compare HEAD~1 HEAD")
    compare.add_argument("first", nargs="?", default="HEAD", metavar="A", help="git revision, DVC experiment or workspace (default: HEAD)")
    compare.add_argument("second", nargs="?", default="workspace", metavar="B", help="the same (default: workspace)")
    configure = add("configure", "compose params.yaml without running anything", "penumbra configure 'filter.badood.mid=[0.35,0.55]'")
    configure.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="also +KEY=VALUE, ~KEY, GROUP=OPTION; none: list the groups")
    configure.add_argument("--output", type=Path, default=Path("params.yaml"), metavar="FILE", help="instead of params.yaml")
    init = add("init", "write an experiment that fits your own images", "penumbra init birds --images photos/ --ood not-birds/")
    init.add_argument("name", metavar="NAME", help="of the experiment: conf/experiment/NAME.yaml")
    init.add_argument("--images", type=Path, required=True, metavar="DIR", help="a sub-folder of images for each ID class")
    init.add_argument("--ood", type=Path, metavar="DIR", help="images of none of these classes, as near OOD (default: printed letters)")
    study = add("study", "run the experiment for several generator seeds, and merge the results (hours; resumable)", "penumbra study 8 9")
    study.add_argument("seeds", nargs="*", type=int, default=list(range(8)), metavar="SEED", help="of common.seed (default: 0 to 7)")


def _add_detectors(add: Add) -> None:
    review = add("review", "look through the candidates of a method in a browser, and veto some", "penumbra review badood")
    review.add_argument("method", metavar="METHOD", help="one that filter judges: its vetoes are kept in vetoes/METHOD.csv")
    review.add_argument("--port", type=int, default=0, help="of 127.0.0.1 (default: a free one)")
    review.add_argument("--open", action="store_true", help="open the page in the browser")
    predict = add("predict", "ask a trained detector about pictures", "penumbra predict sona-all photos/ 'more/*.png' --out answers.csv")
    predict.epilog = PREDICT
    predict.add_argument("detector", metavar="DETECTOR", help="a name in train.detectors, or the path of its folder or of an exported one")
    predict.add_argument("images", nargs="+", metavar="IMAGE", help="file, folder or pattern; - for names on standard input, one a line")
    predict.add_argument("--out", type=Path, metavar="FILE", help=".csv, .jsonl or .parquet (default: a table on standard output)")
    predict.add_argument("--accept", type=float, default=0.95, metavar="SHARE", help="of ID validation that is not flagged (default: 0.95)")
    predict.add_argument("--scores", action="store_true", help="also every score that detectors of its kind have")
    export = add("export", "write a trained detector as a directory that opens anywhere", "penumbra export sona-all sona-all-v1 --onnx")
    export.epilog = EXPORT
    export.add_argument("detector", metavar="DETECTOR", help="a name in train.detectors, or the path of its folder")
    export.add_argument("directory", type=Path, metavar="DIR", help="a new one, or an empty one")
    export.add_argument("--onnx", action="store_true", help="also detector.onnx (needs `pip install penumbra[export]`)")
    export.add_argument("--torch", action="store_true", help="also detector.pt2, a program of torch.export")
    add_openood(add)


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the `penumbra` command."""
    if arguments is None:
        _use_checkout()
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) == signal.SIG_DFL:  # nohup ignores the latter
                signal.signal(number, _end)
    with reader_may_leave():
        options = parser().parse_args(arguments)
        try:
            _dispatch(options)
        except PenumbraError as error:
            sys.exit(f"penumbra: {error}")
        except KeyboardInterrupt:
            sys.exit(130)
        except Exception as error:
            from penumbra.workflow.remedies import explained

            if (line := explained(error)) is None:
                raise
            sys.exit(f"penumbra: {line}")


def _end(number: int, frame: object) -> None:
    """Leave through every `finally`: no half-written file and no job stays behind."""
    signal.signal(number, signal.SIG_IGN)
    sys.exit(128 + number)


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
    if options.command in ("run", "repro"):
        return _engine(options)
    # imported here: each command loads only what it needs
    if options.command == "headline":
        from penumbra.workflow.headline import headline

        return print(headline(Path("reports/metrics.json"), Path("params.yaml")))
    if options.command == "compare":
        from penumbra.workflow.compare import compare

        return print(compare(options.first, options.second))
    if options.command == "configure":
        from penumbra.workflow.configure import configure

        return print(configure(options.overrides, options.output))
    if options.command == "init":
        from penumbra.workflow.init import init

        return print(init(options.name, options.images, options.ood))
    if options.command == "study":
        from penumbra.workflow.study import study

        return study(options.seeds)
    if options.command in ("review", "predict", "export"):
        return _look(options)
    if options.command == "openood":
        from penumbra.workflow.openood import openood

        return print(openood(options.directory, options.detectors, options.score))
    if options.command == "plan":
        from penumbra.workflow import contract, estimate

        return print(estimate.table(contract.load()))
    from penumbra.workflow.doctor import doctor

    return doctor(options.verify, options.mend, options.files)


def _engine(options: argparse.Namespace) -> None:
    """Run stages of dvc.yaml."""
    from penumbra.workflow import contract, lockfiles

    mend = options.command == "repro" and not options.dry
    lockfiles.check(mend=mend)  # without which dvc.yaml is not read
    dag = contract.load()
    lockfiles.check(dag.stages, mend)
    if options.command == "run":
        from penumbra.workflow import ready
        from penumbra.workflow.execute import clear, run

        names = options.stages or [_asked()]
        ready.check(dag, names)
        if "DVC_STAGE" in os.environ:
            from penumbra.workflow import beside, progress

            due = progress.announce(dag, names[0])
            clear(dag)
            if not options.stages:
                return beside.run(dag, names[0], due)
        return run(dag, names)
    from penumbra.workflow.repro import repro

    return repro(dag, options.stages, options.dry)


def _look(options: argparse.Namespace) -> None:
    """Look at what was made: candidates or a detector."""
    if options.command == "review":
        from penumbra.review.command import review

        return review(options.method, options.port, options.open)
    if options.command == "export":
        from penumbra.predict.export import export

        return export(options.detector, options.directory, options.onnx, options.torch)
    from penumbra.predict.command import predict

    if status := predict(options.detector, options.images, options.out, options.accept, options.scores):
        sys.exit(status)


def _asked() -> str:
    """The stage whose command this is, as DVC tells it."""
    if "DVC_STAGE" not in os.environ:
        raise PenumbraError("name a stage: `penumbra run STAGE`. Only DVC, which runs this as the command of a stage, need not.")
    return os.environ["DVC_STAGE"]


def step(name: str, item: str | None, part: tuple[int, int] | None) -> None:
    """Run one step in this process."""
    from penumbra import kernels, processes
    from penumbra.workflow import code, contract, devices, execute, receipt

    gc.set_threshold(COLLECT)
    dag = contract.load()
    entry = dag.of(name, item)
    if name == "code":
        return execute.write_code(dag, code.entries(dag))
    devices.own(entry.name)
    kernels.use(dag.experiment.common.kernels)  # both before the step imports numpy or torch
    part = part or (0, 1) if processes.rank() else part  # the first process of several puts the parts together
    stage = dag.stage(entry, part, code.checked(dag, entry))
    try:
        with receipt.kept(dag, entry, stage):
            importlib.import_module(dag.program(entry)).main(stage)
    except PenumbraError:
        raise
    except Exception as error:
        from penumbra.workflow.damage import among, of_reader

        if of_reader(error) and (found := among(stage.reads.values())):
            raise PenumbraError(found) from error
        raise
