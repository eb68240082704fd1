"""benchmark: scores of test images -> metrics, tables and plots, with spread over seeds."""

from collections.abc import Mapping
from types import ModuleType

import pandas as pd

from penumbra.artifacts.files import replace
from penumbra.artifacts.tables import write_csv, write_json
from penumbra.benchmark import (
    ablations,
    bands,
    calibrators,
    claims,
    curves,
    evaluation,
    grid,
    methods,
    others,
    pairs,
    probe,
    shift,
    spectrum,
    sweeps,
    unified,
)
from penumbra.benchmark.found import Found, Frames, find, headline, is_clip, joined, method_of
from penumbra.benchmark.metrics import METRICS
from penumbra.benchmark.rooms import rooms
from penumbra.dataset import data_set
from penumbra.stage import Stage

Results = tuple[Frames, Frames]  # tables and plots, by name


def main(stage: Stage) -> None:
    """Write reports/headline.json, reports/metrics.json, reports/tables/ and reports/plots/."""
    modules = rooms(methods, stage.params)
    found = find(stage, modules)
    more = [*stage.params.score.more, *stage.params.rerun.scores]
    metrics = pd.concat(evaluation.evaluate_detector(name, frame, more) for name, frame in found.scores.items())
    all_scores = evaluation.spread(metrics, ["detector", "score", "set", "group"], list(METRICS))
    chosen = {name: headline(stage, name) for name in found.scores}
    first = all_scores[all_scores.score == all_scores.detector.map(chosen)]
    by_seed = pd.concat(evaluation.id_accuracy(name, frame) for name, frame in found.scores.items())
    accuracy = evaluation.spread(by_seed, ["detector"], ["id_acc"])
    sizes = {name: len(frame) for name, frame in found.outliers.items()}
    detectors = bands.detectors_table(dict(stage.params.train.detectors.items()), sizes, found.selections, first, accuracy)
    tables = {"detectors": detectors, "scores": all_scores, "distances": _distances(stage, found), "probe": probe.table(found)}
    plots: Frames = {}
    for results in (_curves(stage, found, chosen), _calibration(stage, found), _shift(found, chosen), _unified(stage, found, modules)):
        tables |= results[0]
        plots |= results[1]
    comparisons = {}
    for module in modules.values():
        comparisons |= getattr(module, "COMPARISONS", {})
        if hasattr(module, "tables"):
            results = module.tables(stage, found, tables)
            tables |= results[0]
            plots |= results[1]
    tables["claims"] = claims.claims_table(claims.Measured(tables, found), comparisons)
    tables |= {"pairs": pairs.pairs_table(tables["claims"], metrics), "seeds": pairs.seeds_table(metrics, by_seed, chosen)}
    tables |= _spectrum(stage, found, chosen, more) | grid.tables(stage)
    if more and len(swept := sweeps.table(stage)):
        tables["sweeps"] = swept
    if len(stage.params.benchmark.ablations):
        tables["ablations"] = ablations.table(stage, found)
    if stage.params.benchmark.others:
        tables["others"] = others.table(stage.params.benchmark.others, next(iter(found.scores.values())))
    _write(stage, evaluation.metrics_json(first, accuracy, data_set(stage.params.prepare.id)), tables, plots)
    stage.finish()


def _write(stage: Stage, content: dict, tables: Frames, plots: Frames) -> None:
    write_json(stage.write("metrics"), content)
    write_json(stage.write("headline"), evaluation.headline_json(content))
    for folder, frames in {"tables": tables, "plots": plots}.items():
        with replace(stage.write(folder)) as temporary:
            temporary.mkdir()
            for name, frame in frames.items():
                write_csv(temporary / f"{name}.csv", frame)


def _curves(stage: Stage, found: Found, chosen: dict[str, str]) -> Results:
    """ROC curves and histograms of the headline scores."""
    bins = stage.params.benchmark.bins
    roc = joined(curves.roc_curve(name, frame, chosen[name]) for name, frame in found.scores.items())
    return {}, {
        "roc": roc,
        "headline": joined(curves.score_histogram(name, frame, chosen[name], bins) for name, frame in found.scores.items()),
    }


def _calibration(stage: Stage, found: Found) -> Results:
    """How well scores become probabilities, and what each calibrator would keep of the candidates."""
    judged = {name: content for name, content in found.calibration.items() if name in found.selections}
    table = (
        calibrators.calibrators_table(name, content, found.selections[name], tuple(stage.params.filter[name].mid))
        for name, content in judged.items()
    )
    reliability = (calibrators.reliability_curves(name, content) for name, content in found.calibration.items())
    confidence = (calibrators.confidence_histogram(name, frame) for name, frame in found.selections.items())
    plots = {
        "reliability": joined(reliability, ["method", "calibrator", "confidence", "frequency", "count"]),
        "confidence": joined(confidence, ["method", "calibrator", "confidence", "count"]),
    }
    agreement = pd.DataFrame([bands.agreement_row(*item) for item in found.selections.items()], columns=list(bands.AGREEMENT))
    return {"calibrators": joined(table, ["method", "calibrator", "chosen"]), "agreement": agreement}, plots


def _shift(found: Found, chosen: dict[str, str]) -> Results:
    """What covariate shift does to each detector."""
    shifted = pd.concat(shift.shift_by_seed(name, frame, chosen[name]) for name, frame in found.scores.items())
    values = ["clean", "strongest", "rank_correlation", "auroc", "accuracy"]
    table = evaluation.spread(shift.shift_summary(shifted), ["detector", "kind"], values)
    return {"shift": table}, {"shift": evaluation.spread(shifted, ["detector", "kind", "strength"], list(shift.VALUES))}


def _spectrum(stage: Stage, found: Found, chosen: dict[str, str], more: list[str]) -> Frames:
    """The headline scores over the full spectrum; nothing where no ID class comes from elsewhere."""
    sets = stage.params.prepare.shift.sets
    rows = joined(spectrum.full_spectrum(name, frame, sets, more) for name, frame in found.scores.items())
    if rows.empty:
        return {}
    first = rows[rows.score == rows.detector.map(chosen)]
    return {"spectrum": evaluation.spread(first, ["detector", "score", "set", "group"], list(METRICS))}


def _unified(stage: Stage, found: Found, modules: Mapping[str, ModuleType]) -> Results:
    """The unified score of classifiers; of the methods that ask for it also along k and a, and by test set."""
    scores = {name: frame for name, frame in found.scores.items() if not is_clip(stage, name)}
    p, ks = stage.params.benchmark.unified, [stage.params.score.knn_k, *stage.params.score.knn_more]
    setting = unified.Setting(p.mode, p.a, p.bins, p.weight)
    asking = [name for name in scores if getattr(modules.get(method_of(stage, name)), "UNIFIED_CURVES", False)]
    by_seed = joined(
        (unified.by_seed(name, frame, ks, setting, p.a_grid, name in asking) for name, frame in scores.items()),
        [*unified.KEYS, "seed", "weight", *unified.METRICS],
    )
    table = evaluation.spread(by_seed, list(unified.KEYS), ["weight", *unified.METRICS])
    shown = (unified.histograms(name, scores[name], ks[0], setting, stage.params.benchmark.bins) for name in asking)
    return {"unified": table}, {"unified": joined(shown, ["detector", "score", "set", "group", "position", "density"])}


def _distances(stage: Stage, found: Found) -> pd.DataFrame:
    """Feature distances by band, of the methods that have both."""
    samples, seed = stage.params.benchmark.distance_samples, stage.params.common.seed
    both = [name for name in found.selections if set(bands.DISTANCES) & set(found.outliers.get(name, ()))]
    frames = (bands.distances_table(name, found.outliers[name], found.selections[name], samples, seed) for name in both)
    return joined(frames, ["method", "band", "drawn", "distance", "count", "mean", "std", "sem"])
