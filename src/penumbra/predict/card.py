"""The model card of a detector: README.md as Hugging Face's hub reads it, made of what the detector says of itself."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penumbra.predict.contents import Contents
from penumbra.predict.program import LARGEST

TEMPLATE = Path(__file__).with_name("card.jinja")
TAGS = ("out-of-distribution-detection", "ood-detection", "image-classification")
NAMES = {"fpr95": "FPR95", "auroc": "AUROC", "aupr_in": "AUPR-in", "aupr_out": "AUPR-out"}


def card(contents: Contents, place: str, graphs: Mapping[str, float]) -> str:
    """The text of README.md.

    Args:
        place: name of the directory, for the commands.
        graphs: files of whole graphs, and the largest difference of each from Penumbra.
    """
    from jinja2 import Environment, StrictUndefined

    config = contents.config
    results, trained = config["results"], config["training"]["parameters"]
    template = Environment(undefined=StrictUndefined, keep_trailing_newline=True).from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(
        c=config,
        front=_front(config),
        place=place,
        graphs=graphs,
        largest=LARGEST,
        provenance=contents.provenance is not None,
        seeds="It is one network."
        if len(config["seeds"]) == 1
        else f"It is the mean of {len(config['seeds'])} networks that differ in their training seed.",
        outliers=_outliers(config["name"], trained, results),
        recipe=_recipe(trained),
        calibrator=next(iter(config["calibrators"].values()))["name"],
        weakest=max((of_set for of_set in _sets(results)), key=lambda of_set: of_set["fpr95"]["mean"], default=None),
        percent=percent,
    )


def percent(value: Mapping[str, float | None]) -> str:
    """A mean and its deviation (none where there is one seed), of fractions, in percent."""
    deviation = "" if value["std"] is None else f" ± {100 * value['std']:.1f}"
    return f"{100 * value['mean']:.1f}{deviation}"


def _sets(results: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """The test sets, without near and far as wholes."""
    return [of_set for of_set in (results or {"sets": []})["sets"] if of_set["set"] != of_set["group"]]


def _outliers(name: str, trained: Mapping[str, Any] | None, results: Mapping[str, Any] | None) -> str:
    if trained is None or name not in trained.get("detectors", {}):
        return "not recorded"
    detector = trained["detectors"][name]
    if detector["method"] == "none":
        return "none"
    count = f"; {results['outliers']} of them" if results else ""
    return f"synthetic, of the method {detector['method']}, {' and '.join(detector['bands'])} of its candidates{count}"


def _recipe(trained: Mapping[str, Any] | None) -> str:
    if trained is None or not trained.get("recipes"):
        return "not recorded"
    name, recipe = next(iter(trained["recipes"].items()))
    return f"{name} (" + ", ".join(f"{key} {_shown(value)}" for key, value in recipe.items()) + ")"


def _shown(value: Any) -> str:
    return {True: "yes", False: "no", None: "none"}[value] if value is None or isinstance(value, bool) else str(value)


def _front(config: Mapping[str, Any]) -> str:
    """The YAML between dashes that the hub reads: license, tags, metrics and, as its model-index, the results."""
    from ruamel.yaml import YAML

    content: dict[str, Any] = {
        "license": config["license"],
        "library_name": "penumbra",
        "pipeline_tag": "image-classification",
        "tags": [*TAGS, *(["clip"] if config["kind"] == "clip" else [])],
    }
    if config["results"]:
        content |= {"metrics": ["accuracy", "roc_auc"], "model-index": [{"name": config["name"], "results": _index(config)}]}
    stream, yaml = io.StringIO(), YAML()
    yaml.default_flow_style = False
    yaml.dump(content, stream)
    return f"---\n{stream.getvalue()}---"


def _index(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The results as the hub's model-index: percent, means over the training seeds."""
    name = config["training"]["data"] or "ID test images"

    def entry(task: str, dataset: str, metrics: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "task": {"type": "image-classification", "name": task},
            "dataset": {
                "type": "-".join(dataset.split()),
                "name": f"{name} against {dataset}" if metrics[0]["type"] != "accuracy" else name,
            },
            "metrics": metrics,
        }

    accuracy = {"type": "accuracy", "name": "ID accuracy, %", "value": _rounded(config["results"]["id_accuracy"])}
    found = [entry("image classification", "id", [accuracy])]
    for of_set in config["results"]["sets"]:
        metrics = [{"type": key, "name": f"{label}, %", "value": _rounded(of_set[key])} for key, label in NAMES.items()]
        found.append(entry("out-of-distribution detection", of_set["set"], metrics))
    return found


def _rounded(value: Mapping[str, float | None]) -> float:
    return round(100 * value["mean"], 2)
