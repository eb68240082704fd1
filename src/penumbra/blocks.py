"""Blocks of work: what a killed job has finished, it does not do again.

A step cuts its work into blocks with fixed boundaries: candidates, row groups of images, training seeds. Each is made in the stage's
scratch folder, whole or not at all. A process makes those of its part; one without a part makes what is left, and puts all together.
So parts, order and restarts change no byte.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from penumbra import processes
from penumbra.artifacts.files import replace
from penumbra.runtime import progress
from penumbra.stage import Stage

B = TypeVar("B")  # what a block is made of


def cut(items: Sequence[B], size: int, suffix: str) -> dict[str, Sequence[B]]:
    """Blocks of `size` items, the last of what is left, by the names of their files."""
    return {f"block-{start // size:06d}{suffix}": items[start : start + size] for start in range(0, len(items), size)}


def made(stage: Stage, blocks: Mapping[str, B], load: Callable[[], Callable[[Path, B], None]]) -> list[Path] | None:
    """Make the blocks that are left to this process.

    Args:
        blocks: what each is made of, by the name of its file or folder, in the order in which they are put together.
        load: loads models and data, and returns what writes a block to a path; not called where nothing is left to make, so that
            putting together needs no model and no torch.

    Returns:
        The paths of all blocks in their order; None if this process does a part.
    """
    todo = stage.todo(blocks)
    write = load() if todo else None
    for block in progress(todo, stage.name):
        with _placed(stage.scratch / block) as path:
            write(path, blocks[block])
    return [stage.scratch / block for block in blocks] if stage.part is None else None


@contextmanager
def _placed(path: Path) -> Iterator[Path]:
    """Where a block is written to: of several processes that make it together, the first puts it in place."""
    if processes.rank() == 0:
        with replace(path) as temporary:
            yield temporary
        return
    with TemporaryDirectory() as aside:
        yield Path(aside) / path.name


def run(
    stage: Stage, blocks: Mapping[str, B], load: Callable[[], Callable[[Path, B], None]], assemble: Callable[[list[Path]], None]
) -> None:
    """Make the blocks that are left to this process; without a part, put all together and forget them.

    Args:
        blocks, load: see `made`.
        assemble: writes the outputs of the stage from the paths of all blocks, in their order.
    """
    paths = made(stage, blocks, load)
    if paths is not None:
        assemble(paths)
        stage.finish()
