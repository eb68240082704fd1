"""Parameters of score."""

from typing import Annotated

from pydantic import AfterValidator

from penumbra.values import Calibrator, Count, Section, distinct


class Score(Section):
    knn_k: Count
    knn_more: Annotated[list[Count], AfterValidator(distinct)]
    calibrator: Calibrator
