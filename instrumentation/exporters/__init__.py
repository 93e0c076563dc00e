"""Renderings of one snapshot, and the ways they leave the process.

Nothing is imported here: a service that only records should not pay for an HTTP server, TLS or OpenTelemetry.
"""
