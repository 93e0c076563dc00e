"""The OpenTelemetry resource of a push: the service and the process that it comes from."""

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
    """Return the resource of this process: `attributes`, then those of the environment, then those of the program.

    Call it at set-up: the SDK starts threads for it, which is slow, and impossible at exit.
    """
    given = dict(mapping("resource_attributes", attributes or {}))
    found = Resource({_INSTANCE: str(uuid4())}).merge(Resource.create(given))
    described = {
        valid(name): valid(value) if isinstance(value, str) else value for name, value in found.attributes.items()
    }
    if str(described[_NAME]).startswith("unknown_service"):  # the SDK's value without a name
        described[_NAME] = program_name()
    return Resource(described, found.schema_url)


def forked(parent: Resource) -> Resource:
    """Return the resource of a forked child, with a new instance id even if the parent's was given."""
    own: dict[str, str | int] = {_INSTANCE: str(uuid4())}
    if "process.pid" in parent.attributes:
        own |= {"process.pid": os.getpid(), "process.parent_pid": os.getppid()}
    return parent.merge(Resource(own))


def program_name() -> str:
    """Return the name of the script or the package that this process runs; otherwise `python`."""
    program = PurePath(sys.argv[0] if sys.argv else "")
    name = program.name.removesuffix(".py")
    if name == "__main__":
        name = PurePath(os.path.abspath(program)).parent.name  # noqa: PTH100  # resolving would follow links
    return "python" if name in ("", "-", "-c") else valid(name)
