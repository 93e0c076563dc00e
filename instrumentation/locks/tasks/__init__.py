"""Locks for asyncio tasks. Importing a module of this package imports asyncio."""
