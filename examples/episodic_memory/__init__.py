"""A small agent-memory service, as an example of how to instrument one.

It keeps episodes (what an agent did) and concepts (what it learned from them), and recalls both. SQLite is the
durable store, LMDB the cache, usearch the vector index. Every measurement goes through the public API of
`mnemoscope`: as a decorator on the measured code, or in `telemetry.py`.

    python -m mnemoscope.examples.episodic_memory --port 0 --data ./memory
    python -m mnemoscope.examples.episodic_memory.workload --url http://127.0.0.1:PORT --seconds 30
"""
