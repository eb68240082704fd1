"""The candidates."""

import pandas as pd

from penumbra.report.content import Block, Results, Section
from penumbra.report.gallery import Gallery
from penumbra.report.own import blocks

KEY = (
    "The story of each method, the least severe candidates of each band first. From above: the class and the image that a candidate is "
    "made from, where it has one; the candidate, framed in the colour of its band; its severity, the calibrated P(OOD); how many of the "
    "judges, which differ in their training seed, put it into that band alone; and how far it was led. `reports/figures` has a row of each."
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
    sizes = ", ".join(f"{gallery.size(band)} in the {band} band" for band in gallery.counts)
    passes = "" if pd.isna(gallery.accepted) else f"; {gallery.accepted:.0%} pass as ID, where 95% of ID images do"
    return f"{method}: of all candidates {sizes}{passes}."
