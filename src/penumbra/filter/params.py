"""Parameters of filter."""

from typing import Any, Literal

from pydantic import SerializerFunctionWrapHandler, model_serializer

from penumbra.values import Interval, Item, Line, Section


class Filter(Section):
    """Bounds of the mid band and of its other reading, by the calibrated confidence of a detector; a file of vetoes; what is judged.

    `veto` and `sees` may be missing, and are in no dump then: who has none has the same provenance in all files as before there were
    any, and nothing runs again.

    Attributes:
        sees: twin: of candidates that were moved, the judge sees the unmoved twins (`synthesize/moved`); without it the candidates.
    """

    judge: Item
    mid: Interval
    upper: Interval
    veto: Line | None = None
    sees: Literal["twin"] | None = None

    @model_serializer(mode="wrap")
    def _given(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in dump(self).items() if value is not None}
