"""What keeping history costs, and what getting rid of it costs: `python -m bench.history`, run by hand.

Decision 9 quotes its figures.
"""
