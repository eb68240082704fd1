"""Training of a network on ID images and outliers, whatever its loss."""
