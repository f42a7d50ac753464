"""The physical limit: the least SQL that could do the job with the same durability."""
