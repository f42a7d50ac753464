"""`howdah bench`: how fast jobs are published, run and started on a database of yours.

* ``tasks``    the jobs: they do nothing
* ``bench``    publish, drain with one worker process, measure, take everything back
* ``figures``  what was measured
"""
