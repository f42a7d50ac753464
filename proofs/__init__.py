"""Long programs that try to break what the tests hold for true, and write down what came of it.

`python -m proofs.fuzz`, `.zombies`, `.mixed`, `.seeded`, `.soak`: malformed input, calls for runs that have
ended, everything at once, seeded bugs, half an hour under load.
"""
