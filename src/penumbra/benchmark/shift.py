"""How scores answer to covariate shift of ID images (Bad-OOD, 4.4, with rendered shifts in place of SynIS)."""

import pandas as pd
from scipy.stats import spearmanr

from penumbra.ranks import auroc

VALUES = ("confidence", "score", "auroc", "accuracy")


def shift_by_seed(detector: str, scores: pd.DataFrame, score: str) -> pd.DataFrame:
    """Rows detector, kind, strength, seed, *VALUES; strength 0 is the unshifted ID test set.

    `confidence` and `score` are means, `auroc` tells shifted from unshifted images by `score`, `accuracy` is that of the classes.
    """
    rows = []
    for seed, of_seed in scores.groupby("seed"):
        clean = of_seed[of_seed.group == "id"]
        for kind, of_kind in of_seed[of_seed.group == "shift"].groupby("set", sort=False):
            for strength, images in [(0, clean), *of_kind.groupby("strength")]:
                rows.append(
                    {
                        "detector": detector,
                        "kind": kind,
                        "strength": strength,
                        "seed": seed,
                        "confidence": images.confidence.mean(),
                        "score": images[score].mean(),
                        "auroc": auroc(images[score].to_numpy(), clean[score].to_numpy()),
                        "accuracy": (images.predicted == images.label).mean(),
                    }
                )
    return pd.DataFrame(rows)


def shift_summary(by_seed: pd.DataFrame) -> pd.DataFrame:
    """Rows detector, kind, seed, strengths' ends and order.

    `clean` and `strongest` are the mean confidence at strength 0 and at the highest; `auroc` and `accuracy` belong to the highest;
    `rank_correlation` is Spearman's, of strength and mean confidence.
    """
    rows = []
    for (detector, kind, seed), path in by_seed.groupby(["detector", "kind", "seed"], sort=False):
        last = path.iloc[-1]
        rows.append(
            {
                "detector": detector,
                "kind": kind,
                "seed": seed,
                "clean": path.confidence.iloc[0],
                "strongest": last.confidence,
                "rank_correlation": spearmanr(path.strength, path.confidence).statistic if path.confidence.nunique() > 1 else 0.0,
                "auroc": last.auroc,
                "accuracy": last.accuracy,
            }
        )
    return pd.DataFrame(rows)
