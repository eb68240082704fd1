"""pretrain@MODEL: train a frozen model on the experiment's data, or import a published checkpoint."""
