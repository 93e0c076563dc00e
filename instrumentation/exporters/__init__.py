"""Ways for metrics to leave the process: over HTTP, pushed to OTLP, or through a prometheus_client registry.

`api` holds the public functions, `formats` the scrape formats, `http` the endpoints and the server, `otlp` the push.
Nothing is imported here, so that a service that only records loads no HTTP server, TLS or OpenTelemetry.
"""
