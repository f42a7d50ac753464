"""The `*_sync` methods. Every other file here is written by `scripts/unasync` from `howdah._async`."""
