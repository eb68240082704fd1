"""Every test computes with the portable kernels; pytest reads this file before any test has imported numpy or torch.

The user's own settings of DVC, such as a cache that all repositories share, are not those of the tests: these count what runs.

No test fails for being slow: machines differ, and other work may run beside it.
"""

import os

from hypothesis import settings

from penumbra import kernels

kernels.use("portable")
os.environ |= dict.fromkeys(("DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR"), "/nonexistent")
settings.register_profile("penumbra", deadline=None)
settings.load_profile("penumbra")
