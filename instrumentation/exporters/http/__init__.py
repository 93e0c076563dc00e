"""Metrics and health over HTTP: the answers to requests, their formats, a server, and ASGI and WSGI applications."""
