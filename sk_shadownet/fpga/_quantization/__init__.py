"""Fixed-point numbers: formats, plans, the search for formats, training through rounding."""
