"""A training that is killed, of which every epoch is kept."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from penumbra import training


def killed(monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str, call: int, run: Callable[[], Any]) -> list[tuple]:
    """Kill a training where it calls a function for the so-manieth time.

    Args:
        module, name: the function.
        call: counted from 1.
        run: trains. Run again, it goes on.

    Returns:
        The arguments of each call, of those to come, too.
    """
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", -1.0)
    real, calls = getattr(module, name), []

    def dying(*arguments):
        calls.append(arguments)
        if len(calls) == call:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(module, name, dying)
    with pytest.raises(KeyboardInterrupt):
        run()
    return calls
