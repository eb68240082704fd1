"""conf/ and overrides -> parameters, as `dvc exp run -S` composes them; what cannot be composed is answered with the nearest that can."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from penumbra.errors import PenumbraError

CONFIG = "config"  # conf/config.yaml
DIALECT = "Quote it for the shell: 'KEY=[1,2]', 'KEY={a: 1}', 'KEY=\"a text, with a comma\"'."


def compose(conf: Path, overrides: Sequence[str]) -> dict[str, Any]:
    """The composed parameters.

    Args:
        conf: folder of Hydra's groups.
        overrides: KEY=VALUE, +KEY=VALUE, ~KEY or GROUP=OPTION in Hydra's grammar; KEY=@FILE for the lines of a file as a list.

    Raises:
        PenumbraError: an override cannot be read, or names a key, group, option or file that does not exist.
    """
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    overrides = [_with_lines(each) for each in overrides]
    try:
        return _composed(conf, overrides)
    except (HydraException, OmegaConfBaseException) as error:
        raise PenumbraError(_explained(error, conf, overrides)) from error


def _with_lines(override: str) -> str:
    """KEY=@FILE with the lines of the file, such as names of classes, in place of its name."""
    key, sign, name = override.partition("=@")
    if not sign or "=" in key:
        return override
    try:
        lines = [line for line in Path(name).read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise PenumbraError(f"{key}: {name} cannot be read as lines of text ({error}). Name a file of UTF-8 text.") from error
    # Hydra takes a backslash for what it is, unless it stands before a quote
    escaped = (re.sub(r'(\\*)("|$)', lambda found: 2 * found[1] + (r"\"" if found[2] else ""), line) for line in lines)
    quoted = ",".join(f'"{each}"' for each in escaped)
    return f"{key}=[{quoted}]"


def groups(conf: Path) -> dict[str, list[str]]:
    """The options of each group: the files of each folder of conf/."""
    found: dict[str, list[str]] = {}
    for file in sorted(conf.glob("*/**/*.yaml")):
        found.setdefault(file.parent.relative_to(conf).as_posix(), []).append(file.stem)
    return found


def _composed(conf: Path, overrides: Sequence[str]) -> dict[str, Any]:
    from hydra import compose as of_hydra
    from hydra import initialize_config_dir
    from omegaconf import OmegaConf

    with initialize_config_dir(str(conf.resolve()), version_base=None):
        config = of_hydra(CONFIG, overrides=list(overrides))
    return OmegaConf.to_container(config, resolve=True)


def _explained(error: Exception, conf: Path, overrides: Sequence[str]) -> str:
    """One line about what Hydra could not do."""
    message = str(error)
    if missing := re.search(r"Could not find '([^'\n]+)/([^'/\n]+)'", message):
        return f"{missing[1]}={missing[2]}: {_no_such('option', missing[2], groups(conf).get(missing[1], ()))}"
    if key := re.search(r"(?:Could not override|Could not delete from config\.) '(.+?)'", message):
        return _unknown(key[1], conf, overrides)
    if key := re.search(r"An item is already at '(.+?)'", message):
        return f"+{key[1]}: the key is there already; leave out the +"
    if key := re.search(r"Multiple values for (\S+?)\.", message):
        return f"{key[1]}: is given more than once"
    unreadable = [each for each in overrides if not _readable(each)]
    if unreadable:
        return f"{unreadable[0]}: cannot be read as KEY=VALUE, +KEY=VALUE, ~KEY or GROUP=OPTION. {DIALECT}"
    if several := re.search(r"Ambiguous value for argument '(.+?)'", message):
        return f"{several[1]}: several values at once; one run has one. {DIALECT}"
    return message.splitlines()[0]


def _unknown(key: str, conf: Path, overrides: Sequence[str]) -> str:
    """An answer to a key or group that the composition does not have."""
    known = groups(conf)
    if key in known:
        return f"{key}: this experiment has no such preset; `+{key}=...` puts one on top. There are {', '.join(known[key])}."
    if "/" in key:
        return f"{key}: {_no_such('group', key, known)}"
    wrong = {key, *(f"{sign}{key}" for sign in "~+")}
    rest = [each for each in overrides if each.split("=")[0] not in wrong and "=" in each and each.split("=")[0] in known]
    close = nearest(key, _composed(conf, rest))
    return f"{key}: there is no such key" + (f"; did you mean {close}?" if close else f". `+{key}=...` adds one.")


def nearest(key: str, params: Mapping[str, Any]) -> str | None:
    """The dotted key that may be meant: each part as it is or, where there is none of that name, the one most like it."""
    found: list[str] = []
    place: Any = params
    for part in key.split("."):
        names = [str(name) for name in place] if isinstance(place, Mapping) else []
        close = [part] if part in names else difflib.get_close_matches(part, names, n=1, cutoff=0.5)
        if not close:
            return None
        found += close
        place = place[close[0]]
    return ".".join(found)


def _no_such(kind: str, name: str, choices: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, choices, n=1)
    return f"there is no such {kind}" + (f"; did you mean {close[0]}?" if close else f". Choose one of: {', '.join(choices)}.")


def _readable(override: str) -> bool:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        OverridesParser.create().parse_override(override)
    except HydraException:
        return False
    return True
