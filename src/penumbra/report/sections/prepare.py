"""The images."""

from penumbra.report.content import Block, Results, Section

SOURCES = {  # what the sources are that come with the libraries
    "digits": "scikit-learn's handwritten digits, 8 × 8 pixels, resized",
    "glyphs": "characters drawn with matplotlib's fonts",
    "photos": "patches of scikit-learn's two photographs, china and flower, so that all of them show two scenes",
}


def section(results: Results) -> Section:
    """Counts and examples of every set of images."""
    size = results.params.common.image_size
    caption = (
        f"Examples of each set, {size} × {size} pixels. Models learn from ID and world; what is chosen is chosen "
        "on validation ID and calibration OOD; near, far and shifted images are only ever scored. "
        f"The strength of a shift grows from left to right.{_sources(results)}"
    )
    return Section("prepare", "The images", [Block(caption, sets=results.sets)])


def _sources(results: Results) -> str:
    """A sentence on the sources of SOURCES that the experiment has; nothing where it has none."""
    setting = results.params.prepare
    specs = [setting.id, *(spec for group in ("near", "far", "calibration", "world") for spec in setting[group].values())]
    used = {spec.source for spec in specs}
    said = [f"{source}: {text}" for source, text in SOURCES.items() if source in used]
    return f" Sources: {'; '.join(said)}." if said else ""
