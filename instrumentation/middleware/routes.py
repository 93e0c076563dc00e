"""Find the template of the route that answered, in what a framework leaves in the ASGI scope or the WSGI environ.

No framework is imported; only frameworks that the service has loaded are used.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

_FULL, _PARTIAL = 2, 1  # values of Starlette's `Match`; partial: the path matches, but not the method
_DEEPEST = 50


def path_of(scope: Mapping[str, Any]) -> str:
    """Return the path below the mount point; servers that follow the specification leave the mount point in `path`."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "").rstrip("/")
    return path[len(root) :] if root and path.startswith(root + "/") else path


def of_scope(scope: Mapping[str, Any], app: Any) -> str | None:
    """Return the template of a request to `app`; None if no route matches or the framework is unknown."""
    router = scope.get("router") or scope.get("app")
    if router is None:  # a middleware answered first, or the application is not Starlette's
        router = next((layer for layer in _layers(app) if _routes(layer)), None)
    if router is None:
        return _of_django(path_of(scope))
    return _taken(scope) or _matched(_routes(router), _as_it_arrived(scope))


def of_environ(environ: Mapping[str, Any], app: Any, script_name: str) -> str | None:
    """Return the template of a request to `app`; None if no route matches or the framework is unknown.

    `script_name` is the SCRIPT_NAME that the request arrived with.
    """
    if "werkzeug.request" in environ:
        rule = getattr(environ["werkzeug.request"], "url_rule", None) or _matched_again(environ, app)
        template = None if rule is None else rule.rule
    else:
        template = _of_django(environ.get("PATH_INFO", ""))  # which Django has decoded in place
    # The mount point of Werkzeug's dispatcher belongs to the template. Other code may take an id off the path.
    mount = environ.get("SCRIPT_NAME", "").removeprefix(script_name)
    if template is None or not any(mount in getattr(layer, "mounts", ()) for layer in _layers(app)):
        return template
    return f"{mount}/{template.removeprefix('/')}"


# Starlette and FastAPI ----------------------------------------------------------------------------


def _taken(scope: Mapping[str, Any]) -> str | None:
    """Return the template of the route that was taken, if the scope holds all of it."""
    if "app_root_path" in scope:
        return None  # below a mount the route knows only its own part
    route = scope.get("route")
    included = scope.get("fastapi", {}).get("effective_route_context")
    if included is not None:  # the route's router was included under a prefix, which the route does not know
        route = included if included.original_route is route else None
    return getattr(route, "path_format", None)


def _as_it_arrived(scope: Mapping[str, Any]) -> dict[str, Any]:
    copy = {key: scope[key] for key in ("type", "method", "path", "headers")}
    return copy | {"root_path": scope.get("app_root_path", scope.get("root_path", "")), "path_params": {}}


def _matched(routes: Iterable[Any], scope: Mapping[str, Any]) -> str | None:
    """Return the template that matches, found as a router finds it."""
    partial = None
    for route in _flat(routes):
        matches = getattr(route, "matches", None)
        if matches is None:
            continue  # a route of another framework
        match, child_scope = matches(dict(scope))
        template: str = getattr(route, "path_format", None) or ""  # a host has none
        if match.value == _FULL:
            if not hasattr(route, "routes"):
                return template
            mount = template.removesuffix("/{path}")
            below = next((found for layer in _layers(route.app) if (found := _routes(layer))), None)
            if below is None:
                return mount or "/"  # another kind of application, such as a file server
            inner = _matched(below, {**scope, **child_scope})
            return None if inner is None else mount + inner
        if match.value == _PARTIAL and partial is None:
            partial = template
    return partial


def _flat(routes: Iterable[Any]) -> Iterable[Any]:
    """Return the routes, with FastAPI's included routers replaced by their routes."""
    flat: Callable[[Iterable[Any]], Iterable[Any]]
    flat = getattr(sys.modules.get("fastapi.routing"), "iter_route_contexts", iter)
    return flat(routes)


def _routes(router: Any) -> list[Any]:
    found = getattr(router, "routes", None)
    return found if isinstance(found, list) else []


def _layers(app: Any) -> Iterator[Any]:
    """Yield an application and the applications that it wraps, outermost first, by their attribute `app`."""
    for _ in range(_DEEPEST):
        if app is None:
            return
        yield app
        app = getattr(app, "app", None)


# Flask --------------------------------------------------------------------------------------------


def _matched_again(environ: Mapping[str, Any], app: Any) -> Any:
    """Return the rule of a request that Flask has forgotten, as it does before an exception leaves it."""
    if environ["werkzeug.request"] is not None:
        return None  # Flask remembers, and no rule matched
    for layer in _layers(app):
        url_map = getattr(getattr(layer, "__self__", None), "url_map", None)
        if url_map is not None:
            try:
                return url_map.bind_to_environ(environ).match(return_rule=True)[0]
            except Exception:  # raised if no rule matches, too
                return None
    return None


# Django -------------------------------------------------------------------------------------------


def _of_django(path: str) -> str | None:
    urls, conf = sys.modules.get("django.urls"), sys.modules.get("django.conf")
    if urls is None or conf is None or not conf.settings.configured or not hasattr(conf.settings, "ROOT_URLCONF"):
        return None
    try:
        return urls.resolve(path).route or "/"
    except urls.Resolver404:
        return None
