"""What every scrape format defines: a name, a content type and a function that renders a snapshot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ...recording.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Format:
    """One way to write a snapshot.

    Attributes:
        name: the value of the label `format` of the scrape-duration metric.
        content_type: media type and parameters, as in the header Content-Type.
        render: turns a snapshot into chunks of bytes.
        path: the path that always answers in this format. If empty, `/metrics` offers the format to clients whose
            Accept header matches its media type and version.
    """

    name: str
    content_type: str
    render: Callable[[Snapshot], Iterator[bytes]]
    path: str = ""
