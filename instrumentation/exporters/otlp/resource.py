"""Which service and which of its processes a push is from, as an OpenTelemetry resource."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import PurePath
from uuid import uuid4

from opentelemetry.sdk.resources import Resource

from ..arguments import mapping
from ..utf8 import valid

_INSTANCE, _NAME = "service.instance.id", "service.name"


def resource(attributes: Mapping[str, str] | None) -> Resource:
    """Return what describes this process: `attributes`, over what the environment says, over what is found out here.

    To be called at set-up: the SDK starts threads for it, which is impossible at exit, and takes its time.
    """
    given = dict(mapping("resource_attributes", attributes or {}))
    found = Resource({_INSTANCE: str(uuid4())}).merge(Resource.create(given))
    described = {
        valid(name): valid(value) if isinstance(value, str) else value for name, value in found.attributes.items()
    }
    if str(described[_NAME]).startswith("unknown_service"):  # the SDK's word for no name at all
        described[_NAME] = program_name()
    return Resource(described, found.schema_url)


def forked(parent: Resource) -> Resource:
    """Return the resource of a forked child, which is an instance of its own even if the parent was given its id."""
    own: dict[str, str | int] = {_INSTANCE: str(uuid4())}
    if "process.pid" in parent.attributes:
        own |= {"process.pid": os.getpid(), "process.parent_pid": os.getppid()}
    return parent.merge(Resource(own))


def program_name() -> str:
    """Return what this process runs: the script or the package, and `python` where it is neither."""
    program = PurePath(sys.argv[0] if sys.argv else "")
    name = program.name.removesuffix(".py")
    if name == "__main__":
        name = PurePath(os.path.abspath(program)).parent.name  # noqa: PTH100  # resolving would follow links
    return "python" if name in ("", "-", "-c") else valid(name)
