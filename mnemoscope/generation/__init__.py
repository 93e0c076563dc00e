"""Render the files of `generated/`."""
