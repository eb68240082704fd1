"""`penumbra predict`: names of pictures in, a table of answers out."""

import glob
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from penumbra import kernels
from penumbra.errors import PenumbraError
from penumbra.predict.place import locate

SKIPPED = 3  # exit status where some pictures could not be read


def predict(detector: str, images: list[str], out: Path | None, accept: float, scores: bool) -> int:
    """Ask a detector; see the options of the command. Returns the exit status: 0, or `SKIPPED`.

    Raises:
        PenumbraError: no picture was found, or none could be read; see also `load_detector`, `TrainedDetector.predict`, `table.write`.
    """
    paths = list(found(images))
    if not paths:
        raise PenumbraError(f"predict: there is no image in {', '.join(images)}. Name files, folders or patterns such as 'photos/*.png'.")
    kernels.use(locate(detector).kernels)  # before numpy or torch is imported

    from penumbra.predict import table
    from penumbra.predict.detector import load_detector

    if out is not None:
        table.check(out)
    asked, skipped = load_detector(detector), {}
    threshold = asked.threshold(accept)
    answers = asked.predict(paths, accept=accept, scores=scores, unusable=skipped.__setitem__)
    for name, reason in skipped.items():
        print(f"penumbra: {name}: {reason}; skipped", file=sys.stderr)
    if answers.empty:
        raise PenumbraError(f"predict: none of {len(paths)} files could be read as an image.")
    if out is None:
        print(table.text(answers))
    else:
        table.write(out, answers, {"detector": asked.name, "score": asked.score, "accept": accept, "threshold": threshold})
    flagged = f"{answers.ood.sum()} of {len(answers)} are OOD for {asked.name}"
    left_out = f"; {len(skipped)} could not be read" if skipped else ""
    print(f"{flagged}: {asked.score} above {threshold:.4g}, which accepts {accept:.4g} of ID validation{left_out}", file=sys.stderr)
    return SKIPPED if skipped else 0


def found(names: Iterable[str]) -> Iterator[Path]:
    """The files that names mean, each once, those of a folder or a pattern sorted.

    Args:
        names: of files, of folders (all files at any depth whose path has no part that starts with a dot), patterns (with ** for any
            depth), and - for further names on standard input, one a line. A name that is none of these stands for itself.
    """
    lines = (line for name in names for line in (_of_input() if name == "-" else [name]))
    return iter(dict.fromkeys(path for line in lines for path in _meant(line)))


def _of_input() -> list[str]:
    return [os.fsdecode(line) for line in sys.stdin.buffer.read().splitlines() if line]


def _meant(name: str) -> Iterator[Path]:
    matches = [name] if os.path.exists(name) else sorted(glob.glob(name, recursive=True)) or [name]
    for match in map(Path, matches):
        if match.is_dir():
            inside = sorted(path for path in match.rglob("*") if path.is_file())
            yield from (path for path in inside if not any(part.startswith(".") for part in path.relative_to(match).parts))
        else:
            yield match
