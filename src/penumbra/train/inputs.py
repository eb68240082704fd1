"""Which files a detector reads: what its bands and its recipe need, and no more that could reach it."""

from penumbra.stage import Stage

CLASSIFIER, RECONSTRUCTION = "models/classifier", "outliers/reconstruction"


def outliers_name(stage: Stage) -> str | None:
    """The read that holds the candidates of the detector's method; reconstructed ID images are none. None if there is not one."""
    return stage.one_of("outliers/", RECONSTRUCTION)


def check_inputs(stage: Stage) -> None:
    """dvc.yaml gives the stage what its detector needs.

    Raises:
        PenumbraError: a file is missing, or nothing would look at it.
    """
    detector = stage.params.train.detectors[stage.item]
    recipe, where = stage.params.train.recipes[detector.recipe], f"train.recipes.{detector.recipe}"
    bands = f"train.detectors.{stage.item}.bands is {detector.bands}"
    selected = detector.bands not in (None, "all")
    stage.must_read("outliers", outliers_name(stage) is not None, detector.bands is not None, bands)
    stage.must_read("selections", stage.one_of("selections/") is not None, selected, bands)
    stage.must_read(CLASSIFIER, CLASSIFIER in stage.reads, recipe.start == "classifier", f"{where}.start is {recipe.start}")
    given = RECONSTRUCTION in stage.reads
    if recipe.loss != "uniform":
        stage.must_read(RECONSTRUCTION, given, False, f"{where} asks for none")
    elif recipe.reconstructed:  # else it may be read all the same: recipe paper runs in the DAG of small
        stage.must_read(RECONSTRUCTION, given, True, f"{where}.reconstructed is true")
