"""dvc.yaml as DVC resolves it: the one source of what each stage reads, writes and depends on."""

import functools
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from penumbra.artifacts.files import replace
from penumbra.artifacts.recipes import contents, read_recipe
from penumbra.errors import PenumbraError
from penumbra.experiment.load import load as read_params
from penumbra.experiment.load import typed
from penumbra.experiment.schema import Experiment
from penumbra.stage import Params, Stage
from penumbra.train.losses import typed as typed_recipe

CONTRACT, PARAMETERS, CODE = Path("dvc.yaml"), Path("params.yaml"), Path("code.json")
RESOLVED = Path(".penumbra/contract.json")
SOURCE = Path("src/penumbra")
PRESETS = ("pretrain", "extract")  # steps whose items are kinds: what stands behind the @ is the preset


def parts(name: str) -> tuple[str, str | None, str | None]:
    """Step, kind and item of a stage by DVC's name of it."""
    group, _, key = name.partition("@")
    step, _, kind = group.partition("-")
    return step, kind or None, (kind if step in PRESETS else key or kind) or None


def label(name: str) -> str:
    """STEP or STEP/ITEM."""
    step, _, item = parts(name)
    return f"{step}/{item}" if item else step


@dataclass(frozen=True)
class Entry:
    """One resolved stage.

    Attributes:
        name: DVC's: STEP, STEP-KIND, STEP@KEY or STEP-KIND@KEY.
        data, outputs: paths relative to the repository.
        params: declared keys of params.yaml.
        code: declared keys of code.json.
    """

    name: str
    data: tuple[str, ...]
    outputs: tuple[str, ...]
    params: tuple[str, ...]
    code: tuple[str, ...]

    @property
    def step(self) -> str:
        """The verb."""
        return parts(self.name)[0]

    @property
    def kind(self) -> str | None:
        """The kind of the step, where kinds read different things."""
        return parts(self.name)[1]

    @property
    def item(self) -> str | None:
        """What the step works on: "rdm", "badood-mid"; None where there is nothing to tell apart."""
        return parts(self.name)[2]

    @property
    def label(self) -> str:
        """STEP or STEP/ITEM: where logs and benchmarks of the stage lie."""
        return label(self.name)

    @property
    def key(self) -> str:
        """Its place in code.json."""
        return f"{self.step}.{self.item}" if self.item else self.step


class Contract:
    """All stages by name, in the order of dvc.yaml; `given` is params.yaml as it is written, `experiment` what it means."""

    def __init__(self, stages: Iterable[Entry], given: dict[str, Any], experiment: Experiment):
        self.stages = {entry.name: entry for entry in stages}
        self.given = given
        self.experiment = experiment

    def entry(self, name: str) -> Entry:
        """The stage that DVC calls `name`.

        Raises:
            PenumbraError: there is no such stage.
        """
        if name not in self.stages:
            step = name.partition("@")[0].partition("-")[0]
            near = [other for other, entry in self.stages.items() if entry.step == step] or list(self.stages)
            raise PenumbraError(f"dvc.yaml: there is no stage {name!r}. Choose one of: {', '.join(near)}.")
        return self.stages[name]

    def of(self, step: str, item: str | None) -> Entry:
        """The stage of a step and its item.

        Raises:
            PenumbraError: there is no such stage.
        """
        found = [entry for entry in self.stages.values() if (entry.step, entry.item) == (step, item)]
        if not found:
            items = [entry.item for entry in self.stages.values() if entry.step == step and entry.item]
            raise PenumbraError(
                f"penumbra {step}: there is no {item or 'stage without an item'}. Choose one of: {', '.join(items) or step}."
            )
        return found[0]

    def of_step(self, step: str) -> list[Entry]:
        """The stages of a step."""
        return [entry for entry in self.stages.values() if entry.step == step]

    def inputs(self, entry: Entry) -> list[str]:
        """What a stage reads, as Snakemake must name it: in place of a folder that stages write into, what they write."""
        found = []
        for path in entry.data:
            within = [out for other in self.stages.values() for out in other.outputs if out.startswith(f"{path}/")]
            found += within or ([path] if not path.startswith("data/") or self._writer(path) else [])
        return list(dict.fromkeys(found))

    def _writer(self, path: str) -> bool:
        return any(path in entry.outputs for entry in self.stages.values())

    def before(self, entry: Entry) -> list[Entry]:
        """The stages whose outputs a stage reads."""
        return [other for other in self.stages.values() if any(meet(path, out) for path in entry.data for out in other.outputs)]

    def program(self, entry: Entry) -> str:
        """The module whose `main` a stage runs: STEP/KIND.py, STEP/KIND/plan.py (a room), or STEP/step.py where all stages run one.

        A detector is trained by the program of its loss, and asked by that of its kind: a network that sees images, or CLIP.
        """
        kind = entry.kind
        if entry.step == "synthesize" and kind in keys_of(self.experiment.synthesize):
            kind = self.experiment.synthesize[kind][entry.item].method  # SynOOD has stages of two kinds, which read different things
        if entry.step in ("train", "infer") and not kind:
            recipe = self.experiment.recipes[self.experiment.train.detectors[entry.item].recipe]
            kind = f"losses.{recipe.loss}" if entry.step == "train" else recipe.detector
        for name in (f"{kind}.plan", kind, "step"):
            if name and (SOURCE / entry.step / f"{name.replace('.', '/')}.py").exists():
                return f"penumbra.{entry.step}.{name}"
        raise PenumbraError(f"dvc.yaml: stage {entry.name} has no program in {SOURCE / entry.step}.")

    def params(self, entry: Entry) -> Params:
        """The declared parameters as the schema's types; methods, recipes and presets without the kind they stand under.

        Controls have a place of their own, `controls`.
        """
        nested: dict[str, Any] = {}
        for key in entry.params:
            place, value = _without_kind(key.split("."), self.experiment)
            target = nested
            for parent in place[:-1]:
                target = target.setdefault(parent, {})
            if isinstance(value, Mapping):
                target.setdefault(place[-1], {}).update(value)
            else:
                target[place[-1]] = value
        return Params(nested | self.experiment.unsaid(entry.step, entry.item))

    def stage(self, entry: Entry, part: tuple[int, int] | None = None, digests: Mapping[str, Any] | None = None) -> Stage:
        """What the step is given; `digests` is its entry of code.json."""
        code = dict(digests or {})
        params, reads = self.params(entry), {short_name(path): Path(path) for path in entry.data}
        for name in [name for name in reads if name.startswith("recipes/")]:  # a recipe brings its own inputs
            kit = reads.pop(name)
            params = params.beside(train={"recipes": {kit.name: typed_recipe(read_recipe(kit), str(kit))}})
            reads |= contents(kit)
        return Stage(
            step=entry.step,
            item=entry.item,
            params=params,
            versions=versions(code),
            reads=reads,
            writes={short_name(path): Path(path) for path in entry.outputs},
            part=part,
            code=code.get("code", ""),
        )


def meet(path: str, output: str) -> bool:
    """Whether two paths are one, or one lies in the other."""
    return path == output or output.startswith(f"{path}/") or path.startswith(f"{output}/")


def _without_kind(keys: list[str], experiment: Experiment) -> tuple[list[str], Any]:
    """Where a declared value stands for its step, and the value."""
    if keys[0] in PRESETS and len(keys) == 2:
        presets = experiment[keys[0]][keys[1]].values()
        return (keys, next(iter(presets))) if presets else (keys[:1], {})
    if keys[0] in PRESETS:
        return keys, {kind: value for kind in keys_of(experiment[keys[0]]) for value in experiment[keys[0]][kind].values()}
    if keys == ["synthesize"]:
        return keys, {**experiment.methods, **experiment.synthesize.control}
    if keys == ["synthesize", "control"]:
        return ["controls"], experiment.synthesize.control
    if keys[0] == "synthesize" and len(keys) == 2:
        return ["synthesize"], experiment.synthesize[keys[1]]
    if keys[0] == "synthesize":
        return [keys[0], keys[2]], experiment.synthesize[keys[1]][keys[2]]
    if keys == ["train"]:
        train = experiment.train
        return keys, {"seeds": train.seeds, "detectors": dict(train.detectors), "recipes": dict(experiment.recipes)}
    if keys == ["train", "recipes"]:
        return keys, dict(experiment.recipes)
    if keys[:2] == ["train", "recipes"]:
        return [*keys[:2], keys[3]], experiment.train.recipes[keys[2]][keys[3]]
    value: Any = experiment
    for key in keys:
        value = value[key]
    return keys, value


def versions(recorded: Mapping[str, Any]) -> dict[str, str]:
    """The versions of libraries by name, of an entry of code.json: "numpy 2.4.6, torch 2.13.0"."""
    pairs = (each.partition(" ") for each in recorded.get("libraries", "").split(", ") if each)
    return {name: version for name, _, version in pairs}


def dig(content: Any, key: str) -> Any:
    """The value at a dotted key; None if there is none."""
    for part in key.split("."):
        content = content.get(part) if isinstance(content, dict) else None
    return content


def keys_of(section: Any) -> list[str]:
    """The keys of a section of the schema."""
    return list(type(section).model_fields)


def short_name(path: str) -> str:
    """Path below data/ (or reports/), without suffix."""
    name = path.removeprefix("data/").removeprefix("reports/")
    return name if Path(path).suffix == "" else str(Path(name).with_suffix(""))


@functools.cache
def load() -> Contract:
    """The contract of the repository in the working directory.

    DVC resolves dvc.yaml. What it found is kept beside the hash of the files that it depends on, so that each of the many
    processes of a run need not load DVC again.

    Raises:
        PenumbraError: dvc.yaml or params.yaml cannot be read, or a value is impossible.
    """
    given = read_params(PARAMETERS)
    experiment = typed(given, PARAMETERS.name)  # before DVC makes paths of names
    key = hashlib.sha256(b"\0".join(path.read_bytes() for path in (CONTRACT, PARAMETERS, Path(__file__)) if path.exists())).hexdigest()
    kept = _kept()
    if kept.get("key") != key:
        kept = {"key": key, "stages": [asdict(entry) for entry in _resolved()]}
        with replace(RESOLVED) as temporary:
            temporary.write_text(json.dumps(kept), encoding="utf-8")
    fields = ({name: tuple(value) if isinstance(value, list) else value for name, value in each.items()} for each in kept["stages"])
    return Contract([Entry(**each) for each in fields], given, experiment)


def _kept() -> dict[str, Any]:
    try:
        kept = json.loads(RESOLVED.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _resolved() -> list[Entry]:
    from dvc.exceptions import DvcException

    from penumbra.workflow.repository import opened

    try:
        with opened() as repo:
            return [_entry(stage, repo.root_dir) for stage in repo.index.stages if stage.addressing]
    except DvcException as error:
        raise PenumbraError(f"dvc.yaml: {' '.join(str(error).split())}") from error


def _entry(stage: Any, root: str) -> Entry:
    data = dict.fromkeys(Path(dep.fs_path).relative_to(root).as_posix() for dep in stage.deps if not hasattr(dep, "params"))
    keys = {Path(dep.fs_path).name: tuple(dep.params) for dep in stage.deps if hasattr(dep, "params")}
    return Entry(
        name=stage.name,
        data=tuple(data),
        outputs=tuple(Path(out.fs_path).relative_to(root).as_posix() for out in stage.outs),
        params=keys.get(PARAMETERS.name, ()),
        code=keys.get(CODE.name, ()),
    )
