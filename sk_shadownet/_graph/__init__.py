"""Networks read as graphs of units: what can be gated, gates on it, and the cut."""
