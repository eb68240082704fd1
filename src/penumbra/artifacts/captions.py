"""What images show, in words: the caption of each, and a name for each ID class."""

import os

from penumbra.artifacts.images import read_provenance, read_table


def read_captions(path: str | os.PathLike) -> list[str]:
    """What each image of a file shows, in words that fit into a prompt: its caption, or the name of its class."""
    columns = read_table(path, ["caption", "class"]).to_pydict()
    return [caption or name for caption, name in zip(columns["caption"], columns["class"], strict=True)]


def concepts(train: str | os.PathLike) -> list[str]:
    """A name for each ID class, by label: the first caption of its images in data/images/train.parquet, else its own name."""
    names = list(read_provenance(train)["classes"])
    rows = read_table(train, ["label", "caption"]).to_pydict()
    captions: dict[int, str] = {}
    for label, caption in zip(rows["label"], rows["caption"], strict=True):
        if caption:
            captions.setdefault(label, caption)
    return [captions.get(label, name) for label, name in enumerate(names)]
