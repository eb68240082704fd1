"""What no program can mend, in a line with its remedy."""

import errno
import shutil
from pathlib import Path

from penumbra.artifacts.files import FULL


def explained(error: Exception) -> str | None:
    """The line on an error; None for what may be a fault of ours."""
    if type(error).__module__.partition(".")[0] in ("dvc", "dvc_data", "dvc_objects"):
        return " ".join(f"DVC: {error}".split())
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    where = getattr(error, "filename", None) or Path.cwd()
    if full or shutil.disk_usage(".").free < FULL:  # libraries have errors of their own for it
        return f"{where}: the disk is full. Free some space and run again; finished work is kept."
    if not isinstance(error, OSError):
        return None
    remedies = {
        errno.EROFS: "the file system is read-only. Work where it can be written, or mount it so.",
        errno.EACCES: "permission is denied. Change its owner or mode (`ls -ld` shows them), and run again.",
        errno.EPERM: "this is not permitted. Change its owner or mode (`ls -ld` shows them), and run again.",
    }
    return f"{where}: {remedies[error.errno]}" if error.errno in remedies else None
