"""Table networks in hardware: their plan, their graph, and tables as primitives."""
