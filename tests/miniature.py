"""A miniature of the DAG: the real dvc.yaml, Snakefile, rules, params and code, with steps that write digests (miniature_commands.py).

Which stages it has is a matter of the experiment. Most tests take one method alone, and the whole DAG where it is about all stages.
"""

import functools
import importlib.metadata
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any

import psutil
from ruamel.yaml import YAML

from miniature_commands import digest, installed, step
from penumbra.artifacts.tables import read_json
from penumbra.workflow import code, commit, contract, execute
from penumbra.workflow.composition import compose
from penumbra.workflow.repository import sparing

ROOT = Path(__file__).parent.parent
FILES = ("dvc.yaml", "params.yaml", "requirements.lock", "requirements-torch.lock", "Snakefile", ".dvcignore", ".gitignore")
FOLDERS = ("rules", "profiles", "conf", "docs", "benchmarks", "src/penumbra")
REMOVED = object()  # a value that a parameter may be set to
SMALL = "sona", "~train.detectors.none", "~train.detectors.sona-none"  # an experiment of one detector that has outliers and a control


def followers(names: Iterable[str]) -> set[str]:
    """The stages of those names and all that stand on what they write, the code of stages aside."""
    dag = contract.load()
    found = set(names)
    while new := {name for name, entry in dag.stages.items() if name not in found and found & {each.name for each in dag.before(entry)}}:
        found |= new
    return found


def kill(process):
    """SIGKILL to the process group, and to descendants that have left it."""
    others = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGKILL)
    for other in others:
        if other.is_running():
            other.kill()
    process.wait()


class Miniature:
    """A git and DVC repository in `root`."""

    def __init__(self, root: Path):
        self.root = root
        self.log = root.parent / f"{root.name}-log"
        self.prefix: tuple[str, ...] = ()  # what every command is run with
        self._bin = root.parent / f"{root.name}-bin"
        self._bin.mkdir(parents=True, exist_ok=True)
        for name, function in {"penumbra": "main", "dvc": "dvc"}.items():
            command = self._bin / name
            command.write_text(
                f"#!{sys.executable}\nimport sys\nsys.path.append({str(ROOT / 'tests')!r})\n"
                f"import miniature_commands\nminiature_commands.{function}()\n"
            )
            command.chmod(0o755)

    @classmethod
    def create(cls, root: Path, experiment: str | None = None, *overrides: str) -> "Miniature":
        """Copy the repository's own files and commit them; the parameters are those of an experiment of conf/, if one is named."""
        root.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            shutil.copy(ROOT / name, root / name)
        for name in FOLDERS:  # with compiled modules, but for those that another process writes just now
            shutil.copytree(ROOT / name, root / name, symlinks=True, ignore=shutil.ignore_patterns("*.pyc.*"))
        for place in (ROOT / "data").glob("*/.gitkeep"):
            (root / "data" / place.parent.name).mkdir(parents=True)
            (root / "data" / place.parent.name / place.name).touch()
        (root / ".dvc").mkdir()
        for name in ("config", ".gitignore"):
            shutil.copy(ROOT / ".dvc" / name, root / ".dvc" / name)
        if experiment:
            with (root / "params.yaml").open("w") as file:
                YAML().dump(compose(ROOT / "conf", [f"experiment={experiment}", *overrides]), file)
        made = cls(root)
        made.run("git", "init", "-q", "-b", "main")
        made.commit("start")
        return made

    def with_real_steps(self) -> "Miniature":
        """This one, with the steps of the project in place of those that write digests; only in commands, not in `reproduce`."""
        (self._bin / "penumbra").write_text(f"#!{sys.executable}\nfrom penumbra.cli import main\n\nmain()\n")
        return self

    def copy(self, root: Path) -> "Miniature":
        """An independent copy, cache and all."""
        shutil.copytree(self.root, root, symlinks=True)
        return type(self)(root)

    def clone(self, root: Path) -> "Miniature":
        """`git clone` and `dvc pull` from this one's cache."""
        remote = self.root.parent / f"{self.root.name}-remote"
        self.dvc("remote", "add", "-q", "-d", "--local", "-f", "store", str(remote))
        self.dvc("push", "-q")
        self.run("git", "clone", "-q", str(self.root), str(root))
        other = Miniature(root)
        other.dvc("remote", "add", "-q", "-d", "--local", "store", str(remote))
        other.dvc("pull", "-q")
        return other

    @property
    def env(self) -> dict[str, str]:
        """Environment of every command: this miniature's `penumbra` and its own code."""
        return os.environ | {
            "PATH": f"{self._bin}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(self.root / "src"),
            "MINIATURE_LOG": str(self.log),
            "GIT_CONFIG_GLOBAL": os.devnull,
            **{
                f"GIT_{who}_{what}": f"test{'@example.org' * (what == 'EMAIL')}"
                for who in ("AUTHOR", "COMMITTER")
                for what in ("NAME", "EMAIL")
            },
        }

    def run(self, *command: str, check: bool = True, **env: str) -> subprocess.CompletedProcess:
        """Run a command in the repository; its output is text."""
        done = subprocess.run([*self.prefix, *command], cwd=self.root, env=self.env | env, capture_output=True, text=True)
        assert done.returncode == 0 or not check, f"{command}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done

    def dvc(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess:
        """Run dvc."""
        return self.run("dvc", *arguments, **options)

    def snakemake(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess:
        """Run plain Snakemake."""
        return self.run(sys.executable, "-m", "snakemake", "--cores", "2", *arguments, **options)

    def penumbra(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess:
        """Run the miniature's penumbra."""
        return self.run("penumbra", *arguments, **options)

    def start(self, *command: str, **env: str) -> subprocess.Popen:
        """Start a command in a process group of its own."""
        return subprocess.Popen(
            command, cwd=self.root, env=self.env | env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )

    @contextmanager
    def here(self, monkeypatch: Any) -> Iterator[None]:
        """Within this DVC runs in this process, and each stage's step here too: DVC's decisions without the time of its commands."""
        import dvc.stage.run

        def command(stage: Any, dry: bool = False, run_env: Any = None) -> None:
            loaded = contract.load()
            entry = loaded.entry(stage.name)
            if entry.step == "code":
                return execute.write_code(loaded, code.entries(loaded))
            execute.clear(loaded)
            step(loaded.stage(entry, digests=contract.dig(read_json(contract.CODE), entry.key)))

        monkeypatch.chdir(self.root)
        contract.load.cache_clear()
        with sparing(), monkeypatch.context() as patched:
            for name, value in self.env.items():
                patched.setenv(name, value)
            self.installed(patched)
            patched.setattr(dvc.stage.run, "cmd_run", command)
            yield
        contract.load.cache_clear()

    def reproduce(self, monkeypatch: Any, targets: list[str] | None = None) -> None:
        """`dvc repro`, `here`. dvc.lock is written once, at the end: to parse it again for each stage takes longer than all the rest."""
        from dvc.repo import Repo
        from dvc.stage import PipelineStage

        finished: list[Any] = []
        with self.here(monkeypatch), Repo(str(self.root)) as repo, monkeypatch.context() as patched:
            patched.setattr(PipelineStage, "dump", lambda stage, update_pipeline: finished.append(stage))
            repo.reproduce(targets=targets)
            commit.write_locks(finished)

    def dvc_here(self, monkeypatch: Any, *arguments: str) -> None:
        """The command `dvc`, `here`."""
        from dvc.cli import main

        with self.here(monkeypatch):
            assert main([*arguments]) == 0, arguments

    def status(self) -> dict[str, Any]:
        """What `dvc status` finds changed."""
        from dvc.repo import Repo

        with sparing(), chdir(self.root), Repo() as repo:
            return repo.status()

    def installed(self, patched: Any) -> None:
        """Have this process, too, believe in the versions of MINIATURE_VERSIONS."""
        patched.setattr(code, "installed", functools.cache(code.installed.__wrapped__))
        patched.setattr(code, "version", installed(importlib.metadata.version))

    def commit(self, message: str) -> None:
        """Commit everything that git sees."""
        self.run("git", "add", "-A")
        self.run("git", "commit", "-q", "-m", message)

    def counters(self, kind: str = "runs") -> Counter[str]:
        """How often each stage ("runs") or block ("blocks") has run since `reset`."""
        log = Path(f"{self.log}.{kind}")
        return Counter(log.read_text().split()) if log.exists() else Counter()

    def reset(self) -> None:
        """Set the counters to zero."""
        for kind in ("runs", "blocks"):
            Path(f"{self.log}.{kind}").unlink(missing_ok=True)

    def change_param(self, key: str, value: Any) -> None:
        """Set a parameter in params.yaml, comments kept."""
        yaml = YAML()
        path = self.root / "params.yaml"
        content = yaml.load(path)
        section = content
        *parents, leaf = key.split(".")
        for parent in parents:
            section = section[parent]
        if value is REMOVED:
            del section[leaf]
        else:
            section[leaf] = value
        yaml.dump(content, path)

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace a text that stands once in a file."""
        text = (self.root / path).read_text()
        assert text.count(old) == 1, (path, old, text.count(old))
        (self.root / path).write_text(text.replace(old, new))

    def outputs(self) -> dict[str, str]:
        """Digest of every file of every output."""
        files = [file for folder in ("data", "reports") for file in sorted((self.root / folder).rglob("*")) if file.is_file()]
        return {str(file.relative_to(self.root)): digest(file) for file in files if not file.name.startswith(".")}
