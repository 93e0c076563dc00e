"""The measurements: each public function prepares one and returns its sampler.

A module for one library imports it at the top. A module for several libraries imports each inside its functions. So a
worker loads only the library that it measures.
"""
