"""The benchmark: Howdah beside its peers, on one server, in one run.

    python -m bench --only W1,W3 --peers howdah,pgqueuer --rounds 3

* ``peers/``       one folder per peer: what to install, how it publishes and works
* ``workloads/``   one file per question
* ``figures``, ``rates``, ``honesty``, ``targets``   pure: from samples to medians, ratios and verdicts
* ``environments``, ``processes``, ``stores``, ``progress``   what touches the machine
* ``report/``      JSON, Markdown, plots
* ``limit/``       the least SQL that could do the same
"""
