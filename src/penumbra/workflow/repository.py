"""The door to DVC in this process."""

import functools
import logging
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any


@contextmanager
def opened() -> Iterator[Any]:
    """The dvc.repo.Repo of the working directory, without its talk of the files that it writes."""
    from dvc.repo import Repo

    logger = logging.getLogger("dvc")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with sparing(), Repo() as repo:
            yield repo
    finally:
        logger.setLevel(level)


@contextmanager
def sparing() -> Iterator[None]:
    """Have DVC do the same with less work, of which most of its time goes into three things.

    It reads params.yaml anew for each stage: equal texts are parsed once. It keeps the layout of a dvc.lock that it changes, in pure
    Python: a lock has no layout but DVC's own. To look up one parameter it compares its name with those of all: here it goes there.
    """
    import dpath
    from dvc.dependency import param
    from dvc.utils import strictyaml
    from dvc.utils.serialize import _yaml

    parse, paths = _yaml.parse_yaml, param.dpath

    @functools.lru_cache(maxsize=16)
    def pickled(text: str, path: str) -> bytes:
        return pickle.dumps(parse(text, path))

    def parsed(text: str, path: str, typ: str = "safe") -> Any:
        plain = typ == "safe" or str(path).endswith(".lock")
        return pickle.loads(pickled(text, str(path))) if plain else parse(text, path, typ)  # a copy for each reader

    for module in (_yaml, strictyaml):
        module.parse_yaml = parsed
    param.dpath = SimpleNamespace(get=_get, search=dpath.search)
    try:
        yield
    finally:
        param.dpath = paths
        for module in (_yaml, strictyaml):
            module.parse_yaml = parse


def _get(content: Any, key: str, separator: str) -> Any:
    """As `dpath.get`: the value at a key; to that is left what is no plain key of sections."""
    import dpath

    found = content
    try:
        for part in key.split(separator):
            found = found[part]
    except (KeyError, TypeError):
        return dpath.get(content, key, separator=separator)
    return found
