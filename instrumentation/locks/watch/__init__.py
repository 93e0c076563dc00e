"""Watching locks: the holds and waits of threads and tasks, and from these inversions, stalls and deadlocks."""
