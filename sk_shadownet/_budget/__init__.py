"""Which widths a budget buys: limits on costs, values of units beside one another, a greedy knapsack."""
