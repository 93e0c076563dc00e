"""Files for a Grafana that reads its boards from disk or from a cluster."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import yaml

from mnemoscope.dashboards import Board, publish
from mnemoscope.dashboards.publish import provisioning
from mnemoscope.errors import MnemoscopeError
from mnemoscope.model.settings import Settings


def test_data_source_has_a_fixed_uid_and_the_scrape_interval_of_the_settings(boards: list[Board]) -> None:
    files = provisioning.files(Settings(scrape_interval="5s"), boards)
    (source,) = yaml.safe_load(files["provisioning/datasources/prometheus.yaml"])["datasources"]
    assert source["uid"] == provisioning.DATASOURCE_UID
    assert source["type"] == "prometheus"
    assert source["jsonData"]["timeInterval"] == "5s"
    assert source["url"] == "${PROMETHEUS_URL}"


def test_provider_puts_boards_where_publishing_would(boards: list[Board]) -> None:
    files = provisioning.files(Settings(folder="Agents"), boards)
    (provider,) = yaml.safe_load(files["provisioning/dashboards/mnemoscope.yaml"])["providers"]
    assert (provider["folder"], provider["folderUid"]) == ("Agents", publish.folder_uid("Agents"))
    assert provider["allowUiUpdates"] is False


def test_each_board_is_a_config_map_that_the_sidecar_finds(boards: list[Board]) -> None:
    files = provisioning.files(Settings(), boards)
    for board in boards:
        text = files[f"kubernetes/dashboard-{board.uid}.yaml"]
        config_map = yaml.safe_load(text)
        assert config_map["kind"] == "ConfigMap"
        assert config_map["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert json.loads(config_map["data"][f"{board.uid}.json"]) == board.json()
        assert len(text.encode()) < 1024 * 1024
        # A block, not one line: a changed query is a changed line in review.
        assert f"{board.uid}.json: |" in text


def test_texts_are_the_same_every_time(boards: list[Board]) -> None:
    assert provisioning.files(Settings(), boards) == provisioning.files(Settings(), boards)


def test_board_too_large_for_a_config_map_is_refused_by_name(boards: list[Board]) -> None:
    huge = replace(boards[0], document={**boards[0].document, "description": "x" * provisioning.MAX_CONFIGMAP})
    with pytest.raises(MnemoscopeError, match="board dual-memory"):
        provisioning.files(Settings(), [huge])
