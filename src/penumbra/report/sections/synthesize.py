"""The candidates."""

from penumbra.report.content import Block, Results, Section
from penumbra.report.own import blocks


def section(results: Results) -> Section:
    """What each kind of guidance did, and the galleries."""
    shown = blocks(results, "synthesize")
    for method, pairs in results.galleries.items():
        text = f"{method}: {len(pairs)} candidates, evenly spaced over the ranks of their severity, the P(OOD) of the bands below."
        shown.append(Block(text, gallery=pairs))
    if not results.candidates:
        shown.append(Block(text="Nothing is synthesised in this experiment."))
    return Section("synthesize", "The candidates", shown)
