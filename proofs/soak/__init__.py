"""Real worker processes under load for long: whether anything leaks."""
