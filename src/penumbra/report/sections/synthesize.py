"""The candidates."""

from penumbra.report.content import Block, Results, Section
from penumbra.report.format import count
from penumbra.report.gallery import Gallery
from penumbra.report.own import blocks
from penumbra.report.sections.filter import TOO_MANY

KEY = (
    "The story of each method, the least severe candidates of each band first. From above: the class and the image that a candidate is "
    "made from, where it has one; the candidate, framed in the colour of its band; its severity, the calibrated P(OOD); how many of the "
    "judges, which differ in their training seed, would put it into that band; and how far it was led. `reports/figures` has a row of each."
)


def section(results: Results) -> Section:
    """The galleries, and what each kind of guidance did."""
    shown = [Block(text=KEY)] if results.galleries else []
    shown += [Block(_caption(method, gallery), gallery=gallery) for method, gallery in results.galleries.items()]
    shown += blocks(results, "synthesize")
    if not results.candidates:
        shown.append(Block(text="Nothing is synthesised in this experiment."))
    return Section("synthesize", "The candidates", shown)


def _caption(method: str, gallery: Gallery) -> str:
    sizes = ", ".join(f"{count(size)} {band}" for band, size in gallery.counts.items())
    warning = " ⚠" if gallery.accepted > TOO_MANY else ""
    return (
        f"`{method}`: {count(sum(gallery.counts.values()))} candidates ({sizes}), of which {gallery.accepted:.0%}{warning} pass as ID, "
        "where 95% of ID images do."
    )
