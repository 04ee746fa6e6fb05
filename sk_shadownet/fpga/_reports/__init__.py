"""What an export says of itself: README, notebook view, comparison with the float network."""
