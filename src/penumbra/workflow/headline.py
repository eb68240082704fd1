"""The headline table on the terminal: what a run found, from reports/metrics.json."""

from pathlib import Path

from penumbra.artifacts.tables import read_json
from penumbra.dataset import data_set
from penumbra.errors import PenumbraError
from penumbra.experiment.load import validate

COLUMNS = {"fpr95_id_tpr": "FPR95", "auroc": "AUROC", "aupr_out": "AUPR-out"}


def headline(metrics: Path, params: Path) -> str:
    """The data set, then one line for each detector: near and far FPR95 (OOD accepted at 95% ID recall), AUROC, AUPR and ID accuracy.

    Numbers are mean +- std over training seeds in percent. Where params.yaml names another data set than the metrics, a line says so.

    Raises:
        PenumbraError: there are no metrics yet.
    """
    if not metrics.exists():
        raise PenumbraError(f"{metrics}: not there yet. Run `dvc repro` to make it.")
    content = read_json(metrics)
    return "\n".join([*_of_data(content.get("data"), params), *_table(content["detectors"])])


def _of_data(measured: str | None, params: Path) -> list[str]:
    """Which data set the numbers belong to; metrics of the first version do not know."""
    if measured is None:
        return []
    now = data_set(validate(params)["prepare"]["id"]) if params.exists() else measured
    stale = [f"params.yaml now names {now}: run `penumbra repro` for its numbers"] if now != measured else []
    return [f"in-distribution: {measured}", *stale, ""]


def _table(detectors: dict[str, dict]) -> list[str]:
    groups = [group for group in ("near", "far") if all(group in result for result in detectors.values())]
    header = ["detector", *(f"{group} {label}" for group in groups for label in COLUMNS.values()), "ID accuracy"]
    rows = [header]
    for name, result in detectors.items():
        cells = [percent(result[group][metric]) for group in groups for metric in COLUMNS]
        rows.append([name, *cells, percent(result["id_acc"])])
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    lines = [
        "  ".join(cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(zip(row, widths, strict=True)))
        for row in rows
    ]
    return [lines[0], "-" * len(lines[0]), *lines[1:]]


def percent(value: dict[str, float | None]) -> str:
    """A mean and its spread over seeds (none where there is one seed), of fractions, in percent."""
    spread = "" if value["std"] is None else f" ± {100 * value['std']:.1f}"
    return f"{100 * value['mean']:.1f}{spread}"
