"""Watch locks: what threads and tasks hold and wait for, the order of locks, stalls and deadlocks."""
