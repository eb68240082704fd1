"""Parameters of score: the keys of each score that has any, in its own file of `scores`."""

from pydantic import create_model

from penumbra.scores import SCORES

Score = create_model("Score", __base__=tuple(score.Parameters for score in SCORES.values() if score.Parameters), __module__=__name__)
