"""What a network is judged by: scorers, signal efficiency at a background rate, weights of rows."""
