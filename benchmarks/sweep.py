"""Write benchmarks/sweep.csv and docs/sweep.svg: a detector's AUROC over the values of one parameter, one DVC experiment a value.

    python benchmarks/sweep.py KEY DETECTOR REVISION...
    python benchmarks/sweep.py synthesize.good.good.guidance_scale good-all HEAD guidance-1 guidance-2

A revision is a commit or an experiment. Mean and sample standard deviation over training seeds, fractions. Made to be looked at: test
sets choose nothing.
"""

import argparse
import json
from pathlib import Path

import pandas as pd
from ruamel.yaml import YAML

from penumbra.artifacts.files import replace
from penumbra.report.style import GROUPS, figure, svg
from penumbra.workflow.revisions import find

TABLE = Path(__file__).with_name("sweep.csv")
PICTURE = TABLE.parents[1] / "docs/sweep.svg"
SIDES = ("near", "far")


def row(key: str, detector: str, revision: str) -> dict:
    """The value and the AUROCs of a revision."""
    found = find(revision)
    value = YAML(typ="safe", pure=True).load(found.read("params.yaml"))
    for part in key.split("."):
        value = value[part]
    result = json.loads(found.read("reports/metrics.json"))["detectors"][detector]
    measured = {f"{side}_auroc_{moment}": result[side]["auroc"][moment] for side in SIDES for moment in ("mean", "std")}
    return {"parameter": key, "detector": detector, "value": value} | measured


def picture(table: pd.DataFrame) -> bytes:
    """Both sides over the values, with their spread over training seeds, as SVG."""
    with figure(1, 1, 2.4) as (drawn, (axes,)):
        for side in SIDES:
            mean, std = 100 * table[f"{side}_auroc_mean"], 100 * table[f"{side}_auroc_std"]
            axes.errorbar(table.value, mean, yerr=std, color=GROUPS[side], marker="o", ms=4, capsize=3, label=f"{side}-OOD")
        axes.set(title=table.detector[0], xlabel=table.parameter[0], ylabel="AUROC in percent", xticks=table.value)
        axes.legend()
        return svg(drawn)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("key", metavar="KEY", help="parameter, a number, such as synthesize.good.good.guidance_scale")
    parser.add_argument("detector", metavar="DETECTOR")
    parser.add_argument("revisions", metavar="REVISION", nargs="+", help="commit or DVC experiment; `dvc exp list` names them")
    options = parser.parse_args()
    rows = [row(options.key, options.detector, revision) for revision in options.revisions]
    table = pd.DataFrame(rows).sort_values("value", ignore_index=True)
    table.to_csv(TABLE, index=False, lineterminator="\n")
    with replace(PICTURE) as temporary:
        temporary.write_bytes(picture(table))
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()
