"""infer@DETECTOR: one forward pass of a detector over every image that scores are of or are fitted on."""
