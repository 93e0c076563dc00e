"""Locks for asyncio tasks. This folder is imported late, because its modules import asyncio."""
