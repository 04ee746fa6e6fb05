"""ShadowTableClassifier and ShadowTableRegressor: networks whose every edge is a small table."""
