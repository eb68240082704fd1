"""The sections of the page, a module for each step of the DAG; captions quote the parameters that were used."""

from penumbra.report import ablations, study
from penumbra.report.content import Results, Section
from penumbra.report.own import blocks
from penumbra.report.sections import benchmark, calibrate, extract, filter, prepare, pretrain, report, score, synthesize, train

STEPS = (prepare, pretrain, extract, synthesize, train, calibrate, filter, score, benchmark)


def sections(results: Results) -> list[Section]:
    """The study's, then those of the steps in their order, SynOOD and CLIP after the results; none of what has nothing to show."""
    found = [*study.sections(results), *(step.section(results) for step in STEPS)]
    found += [Section("clip", "SynOOD and CLIP", blocks(results, "clip")), *ablations.section(results), report.section(results)]
    return [section for section in found if section.blocks]
