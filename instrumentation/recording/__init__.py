"""The recording core: series, their journals, and the registry that holds them.

A series (`series`) appends each recording to its journal (`journal`). The registry (`registry`) makes series on demand,
and `series_lookup` finds the series of a probe. A scrape takes a snapshot (`snapshot`) of the registry.
"""
