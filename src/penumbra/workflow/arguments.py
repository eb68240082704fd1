"""What `penumbra openood` takes, and says of itself; imports nothing heavy."""

import argparse
from collections.abc import Callable
from pathlib import Path

OPENOOD = """\
DIR/DETECTOR/sSEED/scores/SET.npz   pred, conf (higher = more ID) and label (-1: OOD) of every image of a test set
DIR/DETECTOR/sSEED/ood.csv          FPR@95, AUROC, AUPR_IN, AUPR_OUT and ACC in percent, of each set, of nearood and farood
DIR/DETECTOR/ood/SCORE.csv          the same over all training seeds, mean ± population standard deviation
FPR@95 takes OOD as positive and AUPR is by the trapezoid rule, as OpenOOD has both; reports/tables have other conventions beside them.
"""


def add_openood(add: Callable[[str, str, str], argparse.ArgumentParser]) -> None:
    """Add the command; `add` takes its name, what it does, an example."""
    command = add("openood", "write scores and metrics in the files of OpenOOD's evaluator", "penumbra openood results/ none sona-all")
    command.epilog = OPENOOD
    command.add_argument("directory", type=Path, metavar="DIR", help="a new one, or an empty one")
    command.add_argument("detectors", nargs="*", metavar="DETECTOR", help="names in train.detectors (default: all)")
    command.add_argument("--score", metavar="NAME", help="a column of data/scores (default: the headline score of each)")
