"""What the doorbell costs, and whom it wakes: `python -m bench.doorbell`.

* ``stand``       a server, databases with and without the bell, worker processes
* ``work``        the app that the worker processes run
* ``ear``         counts notifications as workers receive them
* ``busy``        notifications while there is always work
* ``idle``        what workers cost the server that have nothing to do
* ``one_job``     how many workers one published job wakes; how fast a bulk wakes many
* ``publishers``  throughput of 16 publishers with and without the bell
* ``cost``        microseconds of a publish with and without the bell
* ``page``        docs/benchmarks/doorbell.md
"""
