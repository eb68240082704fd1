"""Parameters of filter."""

from typing import Any

from pydantic import SerializerFunctionWrapHandler, model_serializer

from penumbra.values import Interval, Item, Line, Section


class Filter(Section):
    """Bounds of the mid band and of its other reading, by the calibrated confidence of a detector; and a file of vetoes.

    `veto` alone may be missing, and is in no dump then: who reviews nothing has the same provenance in all files as before there were
    vetoes, and nothing runs again.
    """

    judge: Item
    mid: Interval
    upper: Interval
    veto: Line | None = None

    @model_serializer(mode="wrap")
    def _given(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in dump(self).items() if value is not None}
