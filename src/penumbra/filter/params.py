"""Parameters of filter."""

from penumbra.values import Interval, Item, Section


class Filter(Section):
    """Bounds of the mid band and of its other reading, by the calibrated confidence of a detector."""

    judge: Item
    mid: Interval
    upper: Interval
