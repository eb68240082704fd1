"""benchmark: FPR95, AUROC, AUPR and ID accuracy, with spread over seeds."""
