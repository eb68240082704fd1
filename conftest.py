"""Every test computes with the portable kernels; pytest reads this file before any test has imported numpy or torch."""

from penumbra import kernels

kernels.use("portable")
