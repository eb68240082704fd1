"""Candidates that are drawn from prompts of ID classes alone, so many of each class."""

from dataclasses import dataclass
from typing import Any

from penumbra.artifacts.captions import concepts
from penumbra.stage import Stage

BLOCK = 64  # candidates in a block of work; fixed, so that parts and restarts compute the same batches


@dataclass(frozen=True)
class Prompted:
    """A candidate before it is made: its place in the plan, its class, which of that class, and its prompt."""

    index: int
    label: int
    copy: int
    prompt: str

    def provenance(self, stage: Stage) -> dict[str, Any]:
        """Columns of its row; it is made from no ID image."""
        return {
            "sample_id": f"{stage.item}/{self.index:06d}",
            "source_id": "",
            "label": self.label,
            "prompt": self.prompt,
            "seed": stage.params.common.seed,
        }


def plan(stage: Stage) -> list[Prompted]:
    """All candidates in order: `per_class` of each class, with `prompt` around its name."""
    p, names = stage.params.synthesize[stage.item], concepts(stage.read("images/train"))
    pairs = [(label, copy) for label in range(len(names)) for copy in range(p.per_class)]
    return [Prompted(index, label, copy, p.prompt.format(names[label])) for index, (label, copy) in enumerate(pairs)]
