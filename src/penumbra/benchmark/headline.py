"""The five numbers of a detector that a reader sees first: in README.md, on the page, and in `penumbra compare`."""

COLUMNS = {  # heading -> where reports/metrics.json holds it, below the detector's name
    "near FPR95 ↓": ("near", "fpr95_id_tpr"),
    "near AUROC ↑": ("near", "auroc"),
    "far FPR95 ↓": ("far", "fpr95_id_tpr"),
    "far AUROC ↑": ("far", "auroc"),
    "ID accuracy ↑": ("id_acc",),
}
