"""The recording core: series, the journals that they are recorded in, and the registry that holds them."""
