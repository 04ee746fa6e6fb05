"""scikit-learn's side: parameters, rows, the choice of a network, predictions."""
