"""Parameters of extract."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Gt, Le, MaxLen

from penumbra.values import Count, Fault, Item, Section, Share, Template, Text, presets

if TYPE_CHECKING:
    from penumbra.experiment.schema import Experiment


class Contexts(Section):
    captioner: Literal["clip", "llava", "file"]
    vocabulary: Text
    template: Template
    labels: Count
    per_class: Count | None
    model: Text | None
    question: Text
    tokens: Count
    path: Text | None


class Negatives(Section):
    vocabulary: Literal["world", "file", "wordnet"]
    path: Text | None
    id_prompt: Template
    noun_prompt: Template
    adjective_prompt: Template
    mcm_prompt: Template
    quantile: Share
    share: Annotated[float, Gt(0), Le(1)]


class Extract(Section):
    """By the names of presets; empty where no method of the experiment needs it."""

    contexts: Annotated[dict[Item, Contexts], MaxLen(1)]
    negatives: Annotated[dict[Item, Negatives], MaxLen(1)]


def faults(experiment: "Experiment") -> Iterator[Fault]:
    for key, contexts in presets(experiment, "extract", "contexts"):
        if (contexts.captioner == "llava") != (contexts.model is not None):
            yield f"{key}.model", "must name a LLaVA model where captioner is llava, and be null elsewhere"
        if (contexts.captioner == "file") != (contexts.path is not None):
            yield f"{key}.path", "must name a table where captioner is file, and be null elsewhere"
    for key, negatives in presets(experiment, "extract", "negatives"):
        if (negatives.vocabulary == "world") != (negatives.path is None):
            yield f"{key}.path", "must name where the words lie, and be null where vocabulary is world"
