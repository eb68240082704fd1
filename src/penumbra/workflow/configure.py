"""`penumbra configure`: params.yaml composed from conf/, checked, and written with its comments; nothing is run."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from penumbra.artifacts.files import replace
from penumbra.experiment.load import load, validate
from penumbra.workflow import changes
from penumbra.workflow.composition import compose, groups
from penumbra.workflow.roundtrip import rewritten

PARAMS, CONF = Path("params.yaml"), Path("conf")
EXPERIMENTS, WORKSPACE = "experiment", "workspace"  # the group of experiments; the one that stands for params.yaml as it lies there
MOST = 40  # lines of changes; `dvc params diff` prints all
NEXT = """\
penumbra repro --dry   what will run, why and for how long
penumbra repro         run it, in parallel; `dvc repro` runs one stage after the other
penumbra compare       afterwards: what it did to the numbers"""


def configure(overrides: Sequence[str], output: Path = PARAMS) -> str:
    """Write what the overrides make of params.yaml to `output`, and say what has changed.

    Raises:
        PenumbraError: an override is wrong, or the parameters are not valid together; nothing is written then.
    """
    given = load(PARAMS)
    if not overrides:
        return f"Nothing changed. Give KEY=VALUE, +KEY=VALUE, ~KEY, or GROUP=OPTION:\n\n{choices()}"
    wanted = compose(CONF, overrides)
    text = PARAMS.read_text(encoding="utf-8")
    found = list(changes.changes(given, wanted))
    composed = rewritten(text, wanted) if found else text
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / PARAMS.name).write_text(composed, encoding="utf-8")
        validate(Path(folder) / PARAMS.name)
    if output != PARAMS or found:
        with replace(output) as temporary:
            temporary.write_text(composed, encoding="utf-8")
    if not found:
        return f"Nothing changed: {PARAMS} has these values already."
    told = [f"{output}:", *changes.lines(found, MOST)]
    return "\n".join([*told, "", NEXT] if output == PARAMS else told)


def choices() -> str:
    """The experiments and presets of conf/, one line a group."""
    found = {
        group: [option for option in options if (group, option) != (EXPERIMENTS, WORKSPACE)] for group, options in groups(CONF).items()
    }
    width = max(map(len, found))
    return "\n".join(f"  {group:{width}}  {', '.join(options)}" for group, options in found.items())
