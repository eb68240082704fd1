"""The door to DVC in this process."""

import functools
import logging
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def opened() -> Iterator[Any]:
    """The dvc.repo.Repo of the working directory, without its talk of the files that it writes."""
    from dvc.repo import Repo

    logger = logging.getLogger("dvc")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with parsing_once(), Repo() as repo:
            yield repo
    finally:
        logger.setLevel(level)


@contextmanager
def parsing_once() -> Iterator[None]:
    """Have DVC parse equal YAML texts once: it reads params.yaml anew for each stage, which takes most of its time."""
    from dvc.utils import strictyaml
    from dvc.utils.serialize import _yaml

    parse = _yaml.parse_yaml

    @functools.lru_cache(maxsize=16)
    def pickled(text: str, path: str) -> bytes:
        return pickle.dumps(parse(text, path))

    def parsed(text: str, path: str, typ: str = "safe") -> Any:
        return pickle.loads(pickled(text, str(path))) if typ == "safe" else parse(text, path, typ)  # a copy for each reader

    for module in (_yaml, strictyaml):
        module.parse_yaml = parsed
    try:
        yield
    finally:
        for module in (_yaml, strictyaml):
            module.parse_yaml = parse
