"""Bad-OOD's candidates, moved toward ID or away from it before they are decoded (its H.2, Table 12)."""
