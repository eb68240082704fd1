"""Which features a CLIP detector reads: what its recipe needs, and none of outliers where it trains nothing."""

from penumbra.errors import PenumbraError
from penumbra.stage import Stage

IMAGES, LABELS, CONTROL = "features/clip", "features/negatives", "features/clip-control"


def outliers_name(stage: Stage) -> str | None:
    """The read that holds the features of the outliers; those of round trips are none. None if there is not one.

    Raises:
        PenumbraError: there are several.
    """
    names = [name for name in stage.reads if name.startswith("features/clip-") and name != CONTROL]
    if len(names) > 1:
        raise PenumbraError(f"dvc.yaml: stage {stage.name} must read the outliers of one method, not {', '.join(sorted(names))}.")
    return names[0] if names else None


def check_inputs(stage: Stage) -> None:
    """dvc.yaml gives the stage what its recipe needs. Round trips may be read all the same: a variant of the recipe may ask for them.

    Raises:
        PenumbraError: a file is missing, or nothing would look at it.
    """
    detector = stage.params.train.detectors[stage.item]
    recipe, where = stage.params.train.recipes[detector.recipe], f"train.recipes.{detector.recipe}"
    trained = recipe.project or recipe.tune
    since = f"{where}.{'project' if recipe.project else 'tune'} is true" if trained else f"{where} neither projects nor tunes"
    needed = {
        IMAGES: (IMAGES in stage.reads, True, "the detector works on features"),
        LABELS: (LABELS in stage.reads, True, "the detector works on features"),
        "features/clip-METHOD": (outliers_name(stage) is not None, trained, since),
        CONTROL: (CONTROL in stage.reads, trained and recipe.control, f"{where}.control is true"),
    }
    for name, (given, need, reason) in needed.items():
        if given != need and (need or name != CONTROL):
            raise PenumbraError(f"dvc.yaml: stage {stage.name} {'must' if need else 'must not'} read data/{name}, since {reason}.")
