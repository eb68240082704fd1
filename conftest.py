"""Every test computes with the portable kernels; pytest reads this file before any test has imported numpy or torch.

No test fails for being slow: machines differ, and other work may run beside it.
"""

from hypothesis import settings

from penumbra import kernels

kernels.use("portable")
settings.register_profile("penumbra", deadline=None)
settings.load_profile("penumbra")
