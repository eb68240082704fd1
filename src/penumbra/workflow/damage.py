"""Which of the files that a stage read is damaged: asked after it has failed, since to read all of them first would take long."""

import errno
import json
from collections.abc import Callable, Iterable
from pathlib import Path

REMEDY = "`penumbra doctor --verify` looks at the copy in DVC's cache; then `dvc checkout --force` or `penumbra repro` brings it back"

# what readers of damaged files raise; a network raises RuntimeError
OF_READERS = (ValueError, OSError, EOFError, LookupError, SyntaxError, NotImplementedError)


def of_reader(error: Exception) -> bool:
    """Whether an error may come from a file that is damaged. One of a full disk does not, whatever else is found to be wrong."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return False
    return isinstance(error, OF_READERS) or type(error).__name__ in ("SafetensorError", "UnpicklingError")


def among(paths: Iterable[Path]) -> str | None:
    """One line on the first file of some files and folders that cannot be read; None if all can."""
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and (reason := fault(file)):
                return f"{file}: is damaged ({reason}). {REMEDY}."
    return None


def fault(file: Path) -> str | None:
    """Why a Parquet, safetensors, JSON or CSV file cannot be read, in one line; None if it can."""
    look = LOOKS.get(file.suffix)
    try:
        return look and look(file)
    except Exception as error:  # libraries raise nearly anything of damaged files
        return " ".join(str(error).split())[:200] or type(error).__name__


def _parquet(file: Path) -> None:
    import pyarrow.parquet as pq

    from penumbra.artifacts.images import decode

    table = pq.ParquetFile(file)
    json.loads((table.schema_arrow.metadata or {}).get(b"penumbra", b"{}"))
    for batch in table.iter_batches():
        batch.validate(full=True)
        for row in batch.column("image").to_pylist() if "image" in batch.schema.names else ():
            decode(row["bytes"])


def _tensors(file: Path) -> None:
    from safetensors import safe_open

    with safe_open(file, "numpy") as tensors:
        json.loads((tensors.metadata() or {}).get("penumbra", "{}"))
        for name in tensors.keys():  # noqa: SIM118
            tensors.get_slice(name).get_shape()


def _json(file: Path) -> None:
    json.loads(file.read_bytes())


def _text(file: Path) -> None:
    file.read_text(encoding="utf-8")


LOOKS: dict[str, Callable[[Path], None]] = {".parquet": _parquet, ".safetensors": _tensors, ".json": _json, ".csv": _text}
