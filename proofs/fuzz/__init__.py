"""Malformed and extreme input for every function, method and command, and what they may answer."""
