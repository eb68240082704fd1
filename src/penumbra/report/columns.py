"""Columns of the page's tables of metrics: name in our tables -> (heading, whether higher is better)."""

from penumbra.benchmark import headline

HEADLINE = {"_".join(path): (heading, heading.endswith("↑")) for heading, path in headline.COLUMNS.items()}
METRICS = {
    "fpr95_id_tpr": ("FPR95, ID positive ↓", False),
    "fpr95_ood_tpr": ("FPR95, OOD positive ↓", False),
    "auroc": ("AUROC ↑", True),
    "aupr_in": ("AUPR-in ↑", True),
    "aupr_out": ("AUPR-out ↑", True),
}
