"""Which features a CLIP detector reads: what its recipe needs, and none of outliers where it trains nothing."""

from penumbra.stage import Stage

IMAGES, LABELS, CONTROL = "features/clip", "features/negatives", "features/clip-control"


def outliers_name(stage: Stage) -> str | None:
    """The read that holds the features of the outliers; those of round trips are none. None if there is not one."""
    return stage.one_of("features/clip-", CONTROL)


def check_inputs(stage: Stage) -> None:
    """dvc.yaml gives the stage what its recipe needs.

    Raises:
        PenumbraError: a file is missing, or nothing would look at it.
    """
    detector = stage.params.train.detectors[stage.item]
    recipe, where = stage.params.train.recipes[detector.recipe], f"train.recipes.{detector.recipe}"
    trained = recipe.project or recipe.tune
    since = f"{where}.{'project' if recipe.project else 'tune'} is true" if trained else f"{where} neither projects nor tunes"
    for name in (IMAGES, LABELS):
        stage.must_read(name, name in stage.reads, True, "the detector works on features")
    stage.must_read("features/clip-METHOD", outliers_name(stage) is not None, trained, since)
    if trained and recipe.control:  # else it may read round trips all the same: a variant of the recipe may ask for them
        stage.must_read(CONTROL, CONTROL in stage.reads, True, f"{where}.control is true")
