"""Perceptrons side by side in batched products, with gates, and cut down."""
