"""Formats of a scrape, each a module of its own."""
