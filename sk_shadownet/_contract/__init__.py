"""What perceptrons and table networks share: scikit-learn's contract, rows and targets as fits take them."""
