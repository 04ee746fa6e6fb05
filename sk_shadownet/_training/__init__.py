"""Training: the loop, and the only room that knows skorch."""
