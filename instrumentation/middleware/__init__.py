"""Record each request of a web service as its client sees it: to the last byte, by route template and status.

The middlewares need no framework: they read what one leaves in the ASGI scope or the WSGI environ.
"""

from .asgi import ASGIMiddleware
from .recording import RequestRecording, current_request
from .wsgi import WSGIMiddleware

__all__ = ["ASGIMiddleware", "RequestRecording", "WSGIMiddleware", "current_request"]
