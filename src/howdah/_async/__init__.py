"""The methods that are awaited. `scripts/unasync` writes their sync twins in `howdah._sync` from them."""
