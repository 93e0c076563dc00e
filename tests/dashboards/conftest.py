"""The boards and the rules of default settings, built once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from grafana_contract import GrafanaContract

from mnemoscope import alerts, dashboards
from mnemoscope.alerts import Pack
from mnemoscope.dashboards import Board
from mnemoscope.model.settings import Settings


@pytest.fixture(scope="session")
def boards() -> list[Board]:
    return dashboards.build(Settings())


@pytest.fixture(scope="session")
def pack() -> Pack:
    return alerts.build(Settings())


@pytest.fixture(params=[12, 13])
def grafana(request: pytest.FixtureRequest) -> Iterator[GrafanaContract]:
    with GrafanaContract(version=request.param) as server:
        yield server
