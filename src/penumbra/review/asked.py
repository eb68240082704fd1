"""Which candidates a page shows: what the address of the page asks for."""

import dataclasses
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

import numpy as np
import pandas as pd

from penumbra.errors import PenumbraError
from penumbra.values import BANDS

SHOWN = 60  # candidates of a page
VETOED, LEFT = "vetoed", "left"
ORDERS = {"rising": "most like ID first", "falling": "least like ID first"}


@dataclass(frozen=True)
class Asked:
    """What a person wants to see.

    Attributes:
        of_class: name of the ID class that candidates are made from; "" for all.
        band: low | mid | high, or "" for all.
        state: vetoed | left (not vetoed), or "" for both.
        low, high: bounds of the severity, the calibrated P(OOD), both included.
        order: rising | falling severity.
        page: from 1.
    """

    of_class: str = ""
    band: str = ""
    state: str = ""
    low: float = 0.0
    high: float = 1.0
    order: str = "rising"
    page: int = 1

    @property
    def address(self) -> str:
        """The part of the address after the question mark; nothing that is as by default."""
        return urlencode({key: value for key, value in dataclasses.asdict(self).items() if value != getattr(Asked, key)})

    def on(self, page: int) -> "Asked":
        """Another page of the same."""
        return dataclasses.replace(self, page=page)

    def rows(self, frame: pd.DataFrame, vetoed: Collection[str]) -> np.ndarray:
        """Row numbers of all candidates that are asked for, in order; equal severities as they stand.

        Args:
            frame: of `Candidates`.
            vetoed: sample_ids.
        """
        inside = frame.confidence.between(self.low, self.high)
        if self.of_class:
            inside &= frame.class_name == self.of_class
        if self.band:
            inside &= frame.band == self.band
        if self.state:
            inside &= frame.sample_id.isin(vetoed) == (self.state == VETOED)
        rows = np.flatnonzero(inside)
        severity = frame.confidence.to_numpy()[rows]
        return rows[np.argsort(severity if self.order == "rising" else -severity, kind="stable")]


def parse(address: str) -> Asked:
    """What an address asks for; an empty value is as none.

    Args:
        address: the part after the question mark.

    Raises:
        PenumbraError: a value is impossible; names it.
    """
    values: dict[str, Any] = {}
    for key, text in parse_qsl(address):
        try:
            values[key] = _converted(key, text)
        except ValueError:
            raise PenumbraError(f"{key[:SHOWN]} = {text[:SHOWN]}: this page cannot show that.") from None
    return Asked(**values)


def _converted(key: str, text: str) -> Any:
    """A value of its type.

    Raises:
        ValueError: there is no such key, or it cannot have this value.
    """
    choices = {"band": BANDS, "state": (VETOED, LEFT), "order": ORDERS}
    if key == "of_class" or text in choices.get(key, ()):
        return text
    if key in ("low", "high") and 0 <= float(text) <= 1:
        return float(text)
    if key == "page" and re.fullmatch("[1-9][0-9]{0,8}", text):
        return int(text)
    raise ValueError
