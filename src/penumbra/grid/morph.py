"""Morphs between pictures of strokes: displacement interpolation (McCann 1997), the shortest way of one's ink to the other's."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import eye, kron, vstack

from penumbra.errors import PenumbraError

MOST = 512  # bright pixels of a picture: the plan has a number for each pair of them
LEAST = 1e-12  # of all ink; what moves less is rounding


@dataclass(frozen=True)
class Way:
    """How the ink of one picture moves to that of another; both are its ends, exactly.

    Attributes:
        start, end: where each bit of ink is there and there [P, 2]: row and column in pixels.
        first, last: how much it is there and there [P], in levels of grey.
        shape: height and width of the pictures.
    """

    start: np.ndarray
    end: np.ndarray
    first: np.ndarray
    last: np.ndarray
    shape: tuple[int, ...]

    def at(self, share: float) -> np.ndarray:
        """uint8 [H, W]: the picture that lies a share in [0, 1] of the way from the first to the second.

        Strokes move and bend: no picture shines through the other, as it would in a mean of both.
        """
        return _drawn((1 - share) * self.start + share * self.end, (1 - share) * self.first + share * self.last, self.shape)


def way(first: np.ndarray, second: np.ndarray) -> Way:
    """The way on which ink moves least, by the sum of squared distances. A picture without ink fades in or out where the other's is.

    Args:
        first, second: uint8 [H, W], strokes brighter than 0 on black.

    Raises:
        PenumbraError: a picture has more than MOST bright pixels: it shows no strokes.
    """
    places = [np.argwhere(picture) for picture in (first, second)]
    if (most := max(map(len, places))) > MOST:
        raise PenumbraError(f"has {most} bright pixels, and a morph is between strokes of {MOST} at most. Take another set")
    ink = [picture[picture > 0].astype(float) for picture in (first, second)]
    if not all(map(len, places)):
        there = places[0] if len(places[0]) else places[1]
        amounts = [each if len(each) else np.zeros(len(there)) for each in ink]
        return Way(there, there, *amounts, first.shape)
    moved = _plan(*places, *(each / each.sum() for each in ink))
    start, end = np.nonzero(moved > LEAST)
    share = moved[start, end]
    return Way(places[0][start], places[1][end], share * ink[0].sum(), share * ink[1].sum(), first.shape)


def _plan(start: np.ndarray, end: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Which share of all ink moves from each place to each [N, M]: the rows sum to `first`, the columns to `last`."""
    cost = ((start[:, None] - end[None]) ** 2).sum(axis=2)
    leaves, arrives = kron(eye(len(start)), np.ones((1, len(end)))), kron(np.ones((1, len(start))), eye(len(end)))
    found = linprog(cost.ravel(), A_eq=vstack([leaves, arrives]), b_eq=np.concatenate([first, last]), method="highs")
    return found.x.reshape(cost.shape)


def _drawn(places: np.ndarray, amounts: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Ink on the four pixels around its place, by how near they are; more than white is white."""
    corner = np.floor(places).astype(int)
    within = places - corner
    picture = np.zeros(shape)
    for row in (0, 1):
        for column in (0, 1):
            weight = np.abs(1 - row - within[:, 0]) * np.abs(1 - column - within[:, 1])
            at = np.minimum(corner + (row, column), np.array(shape) - 1)
            np.add.at(picture, (at[:, 0], at[:, 1]), weight * amounts)
    return np.clip(np.round(picture), 0, 255).astype(np.uint8)
