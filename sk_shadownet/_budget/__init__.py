"""Which widths a budget buys: what networks cost, what units are worth beside one another, a knapsack."""
