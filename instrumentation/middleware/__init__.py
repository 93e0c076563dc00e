"""Record each request of a web service as its client sees it: to the last byte, by route template and status.

The middlewares need no framework: they read what a framework leaves in the ASGI scope or the WSGI environ. Nothing is
imported here, so that a service without a middleware loads none.
"""
