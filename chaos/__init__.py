"""The chaos harness: real workers, a real PostgreSQL, faults with seeds, journals, and a judge.

* ``run``       one run: start, load, faults, heal, drain, check
* ``server``    a PostgreSQL of its own, with ways to hurt it; ``room`` is the small disk it lies on
* ``proxy``     between a process and the server: stalls, delays, resets, loses what ``replies`` finds
* ``fleet``     the processes under test, started again when they end
* ``tasks``     what the workers run
* ``publisher``, ``consumer``, ``zombie``  the other clients; ``orders`` draws what is published
* ``attendant`` retries, cancels and deletes jobs, pauses queues, limits queues and tasks
* ``metronome`` measures how late the machine is, which the checker's times leave out
* ``single``    single jobs of the harness's own
* ``journal``   what every process writes down; survives ``kill -9``
* ``faults``    what is done to them; ``nemesis`` does it, from a seed
* ``history``   journals and the database's final state as values; ``export`` and ``reading`` make it
* ``checker``   pure functions from a history to a verdict
* ``report``    what is printed, and the Markdown of many runs
"""
