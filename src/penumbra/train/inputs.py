"""Which files a detector reads: what its bands and its recipe need, and no more that could reach it."""

from penumbra.errors import PenumbraError
from penumbra.stage import Stage

CLASSIFIER, RECONSTRUCTION = "models/classifier", "outliers/reconstruction"


def outliers_name(stage: Stage) -> str | None:
    """The read that holds the candidates of the detector's method; reconstructed ID images are none. None if there is not one.

    Raises:
        PenumbraError: there are several.
    """
    names = [name for name in stage.reads if name.startswith("outliers/") and name != RECONSTRUCTION]
    if len(names) > 1:
        raise PenumbraError(f"dvc.yaml: stage {stage.name} must read the outliers of one method, not {', '.join(sorted(names))}.")
    return names[0] if names else None


def check_inputs(stage: Stage) -> None:
    """dvc.yaml gives the stage what its detector needs.

    Raises:
        PenumbraError: a file is missing, or nothing would look at it.
    """
    detector = stage.params.train.detectors[stage.item]
    recipe, where = stage.params.train.recipes[detector.recipe], f"train.recipes.{detector.recipe}"
    reconstructed = recipe.loss == "uniform" and recipe.reconstructed
    bands = f"train.detectors.{stage.item}.bands is {detector.bands}"
    given = {
        "outliers": outliers_name(stage) is not None,
        "selections": any(name.startswith("selections/") for name in stage.reads),
        CLASSIFIER: CLASSIFIER in stage.reads,
        RECONSTRUCTION: RECONSTRUCTION in stage.reads,
    }
    needed = {
        "outliers": (detector.bands is not None, bands),
        "selections": (detector.bands not in (None, "all"), bands),
        CLASSIFIER: (recipe.start == "classifier", f"{where}.start is {recipe.start}"),
        RECONSTRUCTION: (reconstructed, f"{where}.reconstructed is true" if reconstructed else f"{where} asks for none"),
    }
    unused = {RECONSTRUCTION} if recipe.loss == "uniform" else set()  # may be read all the same: recipe paper runs in the DAG of small
    for kind, (need, since) in needed.items():
        if given[kind] != need and (need or kind not in unused):
            raise PenumbraError(f"dvc.yaml: stage {stage.name} {'must' if need else 'must not'} read data/{kind}, since {since}.")
