"""From a score to a cut: ports, thresholds, rates."""
