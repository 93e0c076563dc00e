"""Costs of recording and of scraping, side by side with the field's libraries, in one run: `make bench`."""
