"""Files of the project as they lie in the working directory, in a git revision or in a DVC experiment."""

import difflib
import subprocess
from dataclasses import dataclass
from pathlib import Path

from penumbra.errors import PenumbraError

WORKSPACE = "workspace"  # DVC's word for the working directory
EXPERIMENTS = "refs/exps"  # DVC keeps an experiment as the git reference refs/exps/AB/CDEF.../NAME, ABCDEF... being its baseline


@dataclass(frozen=True)
class Revision:
    """A state of the project. `commit` is None for the working directory."""

    name: str
    commit: str | None

    def read(self, path: str) -> str:
        """The text of a file, its path relative to the working directory.

        Raises:
            PenumbraError: there is no such file.
        """
        if self.commit is None:
            if not Path(path).exists():
                raise PenumbraError(f"{path}: not there yet. Run `penumbra repro` to make it, or name a revision that has it.")
            return Path(path).read_text(encoding="utf-8")
        done = _git("show", f"{self.commit}:./{path}")
        if done.returncode:
            raise PenumbraError(f"{self.name}: has no {path}. Name a revision or an experiment in which it is committed.")
        return done.stdout


def find(name: str) -> Revision:
    """The revision of that name: `workspace`, all that git understands, or an experiment of DVC.

    Raises:
        PenumbraError: it is none of them, or an experiment of that name stands on several commits.
    """
    if name == WORKSPACE:
        return Revision(name, None)
    if commit := _commit(name):
        return Revision(name, commit)
    known = _experiments()
    commits = known.get(name, {})
    if len(commits) > 1:  # DVC prefers the one that stands on HEAD
        commits = {base: commit for base, commit in commits.items() if base == _commit("HEAD")} or commits
    if len(commits) > 1:
        raise PenumbraError(f"{name}: experiments on {len(commits)} commits have this name. Give a hash that `dvc exp show` prints.")
    if not commits:
        close = difflib.get_close_matches(name, [*known, WORKSPACE], n=1)
        remedy = f"Did you mean {close[0]}?" if close else "`git log` and `dvc exp list` know the names."
        raise PenumbraError(f"{name}: neither a git revision nor a DVC experiment. {remedy}")
    return Revision(name, next(iter(commits.values())))


def _commit(name: str) -> str | None:
    done = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    return done.stdout.strip() if done.returncode == 0 else None


def _experiments() -> dict[str, dict[str, str]]:
    """Commit of each experiment, by name and baseline."""
    found: dict[str, dict[str, str]] = {}
    for line in _git("for-each-ref", "--format=%(refname) %(objectname)", EXPERIMENTS).stdout.splitlines():
        reference, commit = line.split()
        parts = reference.removeprefix(f"{EXPERIMENTS}/").split("/")
        if len(parts) == 3:  # the others are DVC's own: its queue, its running experiments
            found.setdefault(parts[2], {})[parts[0] + parts[1]] = commit
    return found


def _git(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What git says.

    Raises:
        PenumbraError: git is missing, or this is no repository.
    """
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, encoding="utf-8")
    except FileNotFoundError:
        raise PenumbraError("git is not installed; only `workspace` can be read without it.") from None
    if done.returncode and "not a git repository" in done.stderr:
        raise PenumbraError(f"{Path.cwd()}: not a git repository. Run from a clone of the project.")
    return done
