"""Costs of recording and of scraping, beside those of other libraries, in one run: `make bench`."""
