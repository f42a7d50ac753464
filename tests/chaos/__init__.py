"""The chaos harness itself."""
