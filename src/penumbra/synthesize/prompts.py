"""What a text-conditioned model is told: the names of ID classes, and words for what is outside of them."""

import os

from penumbra.artifacts.images import read_provenance, read_table


def concepts(train: str | os.PathLike) -> list[str]:
    """A name for each ID class, by label: the first caption of its images in data/images/train.parquet, else the name of the class."""
    names = list(read_provenance(train)["classes"])
    rows = read_table(train, ["label", "caption"]).to_pydict()
    captions: dict[int, str] = {}
    for label, caption in zip(rows["label"], rows["caption"], strict=True):
        if caption:
            captions.setdefault(label, caption)
    return [captions.get(label, name) for label, name in enumerate(names)]
