"""Parameters of calibrate."""

from typing import Annotated, Literal

from annotated_types import Ge

from penumbra.values import Calibrator, Count, Section


class Calibrate(Section):
    judges: Literal["first", "mean"]
    score: Literal["energy", "phi"]
    calibrator: Calibrator
    bins: Count
    folds: Annotated[int, Ge(2)]
