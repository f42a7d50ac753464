"""The demo: a real job on real files, counted by worker processes and checked by nobody's good will.

* ``tree``    what lies below a folder: regular files, and what is passed over and why
* ``paths``   file names that are not text, as text and back
* ``words``   words as `wc` counts them
* ``measure`` bytes, lines, words and SHA-256 of one file
* ``tasks``   the task that a worker runs
* ``outcomes`` what became of each file, and the sums
* ``run``     publish, run two workers, follow, collect
* ``report``  the table and the JSON document
"""
