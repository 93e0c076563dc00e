"""The recording core: series, their journals, and the registry that holds them."""
