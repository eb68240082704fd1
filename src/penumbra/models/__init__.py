"""Networks in their published architectures and state-dict layouts; sizes are arguments."""
