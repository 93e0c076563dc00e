"""Assertions on what was recorded, for tests; `mnemoscope.testing` is their public name.

This package imports nothing, because every pytest run loads the plugin in it.
"""
