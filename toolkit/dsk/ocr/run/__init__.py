"""A run: from a request to a job, and the processes that do it."""
