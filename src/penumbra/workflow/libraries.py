"""environment.yaml: the version of each library that results depend on, where DVC can watch it."""

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

from penumbra.errors import PenumbraError


def installed(names: Iterable[str]) -> dict[str, str]:
    """Installed versions by name, without the local part: torch 2.13.0+cpu and +cu130 are one version.

    Raises:
        PenumbraError: a library is not installed.
    """
    try:
        return {name: version(name).partition("+")[0] for name in sorted(names)}
    except PackageNotFoundError as error:
        raise PenumbraError(f"environment.yaml: {error.name} is not installed. Run `make setup`.") from None


def check_installed(recorded: dict[str, str]) -> None:
    """Refuse to compute with other versions than those that would be recorded.

    Raises:
        PenumbraError: a library is not installed, or in another version.
    """
    found = installed(recorded)
    wrong = [f"{name} {found[name]} instead of {recorded[name]}" for name in recorded if found[name] != recorded[name]]
    if wrong:
        raise PenumbraError(
            f"environment.yaml: installed is {', '.join(wrong)}. Run `make setup`, or `penumbra contract --write` to go on with these."
        )
