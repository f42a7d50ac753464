"""Bugs that are put into copies of the sources, and the tests that have to notice them."""
