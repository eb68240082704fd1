"""What images show, in words: the caption of each, and a name for each ID class."""

import os

from penumbra.artifacts.images import read_provenance, read_table

PHOTO = "a photo of a "  # how an image is captioned that has nothing but a class


def named(caption: str) -> str:
    """What a caption names, to be put into a prompt, which has words of its own around it."""
    return caption.removeprefix(PHOTO)


def read_captions(path: str | os.PathLike) -> list[str]:
    """What the caption of each image of a file names; of one without a caption, the name of its class."""
    columns = read_table(path, ["caption", "class"]).to_pydict()
    return [named(caption) if caption else name for caption, name in zip(columns["caption"], columns["class"], strict=True)]


def concepts(train: str | os.PathLike) -> list[str]:
    """A name for each ID class, by label: what the first caption of its images in data/images/train.parquet names, else its own name."""
    names = list(read_provenance(train)["classes"])
    rows = read_table(train, ["label", "caption"]).to_pydict()
    captions: dict[int, str] = {}
    for label, caption in zip(rows["label"], rows["caption"], strict=True):
        if caption:
            captions.setdefault(label, named(caption))
    return [captions.get(label, name) for label, name in enumerate(names)]
