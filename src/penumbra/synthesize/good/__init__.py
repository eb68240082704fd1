"""GOOD: training-free guidance of a text-to-image model by energy and kNN distance."""
