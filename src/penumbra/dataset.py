"""What the in-distribution data set is called: results carry its name, so that nobody takes them for those of another one."""

from collections.abc import Mapping
from pathlib import PurePath

CLASSES_NAMED = 12  # a data set of more classes is told by their number


def data_set(section: Mapping) -> str:
    """The parameters prepare.id in words: "digits: 0, 1, 2", "folder birds", "imglist imagenet.txt: 1000 classes".

    Test images of a source of their own are named, too: "folder birds, tested on folder birds-2024".
    """
    name = section["source"] if section["path"] is None else f"{section['source']} {PurePath(section['path']).name}"
    if (classes := section["classes"]) is not None:
        name += f": {', '.join(map(str, classes)) if len(classes) <= CLASSES_NAMED else f'{len(classes)} classes'}"
    test = dict(section).get("test")  # provenance has it only where there is one
    return f"{name}, tested on {data_set(test)}" if test else name
