"""Guidance mathematics: pure functions of (x_t, t, models), beside the papers' equations."""
