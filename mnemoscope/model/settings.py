"""The settings of a site: `mnemoscope.yaml`, validated before anything is built.

All mistakes in the file are reported together, each with its place. An unknown setting is a mistake.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from mnemoscope import promql
from mnemoscope.errors import MnemoscopeError
from mnemoscope.instrumentation.catalog import DEFAULT_PREFIX, valid_prefix
from mnemoscope.model import units
from mnemoscope.model.objectives import OBJECTIVES, Objective
from mnemoscope.model.thresholds import THRESHOLDS, Threshold

Severity = Literal["critical", "warning", "info"]
DEFAULT_FILE = "mnemoscope.yaml"
T = TypeVar("T", Threshold, Objective)


def _duration(text: str) -> str:
    units.seconds(text)
    return text


def _label(text: str) -> str:
    if not text.replace("_", "a").isalnum() or text[:1].isdigit() or not text.isascii():
        raise ValueError(f"{text!r} is not a label name")
    return text


def _url(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise ValueError(f"{text!r} is not an http or https address")
    return text.rstrip("/")


def _exact(value: object) -> object:
    # YAML parses numbers as floats; the shortest text of a float is what the user wrote.
    return Decimal(str(value)) if isinstance(value, float) else value


Duration = Annotated[str, AfterValidator(_duration)]
LabelName = Annotated[str, AfterValidator(_label)]
Url = Annotated[str, AfterValidator(_url)]
Labels = dict[LabelName, str]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class AlertOverride(_Strict):
    """Changes to one alert."""

    enabled: bool = True
    severity: Severity | None = None
    for_: Duration | None = Field(default=None, alias="for")
    labels: Labels = {}


class ThresholdOverride(_Strict):
    """New limits of one threshold; the alert, the panel and the runbook page all use them."""

    yellow: Decimal | None = None
    red: Decimal | None = None


class ObjectiveOverride(_Strict):
    """A new target share, or a new latency limit in seconds (one of the metric's bucket bounds)."""

    target: Decimal | None = None
    within: Decimal | None = None


class Silence(_Strict):
    """Findings of `mnemoscope check` that a site accepts until a date.

    Attributes:
        check: name of the check, as a finding shows it in brackets.
        where: shell pattern of the finding's place, such as `runbooks/LockWaitHigh.md:*`.
        reason: why the site accepts the finding.
        until: last day on which it does.
    """

    check: str = Field(min_length=1)
    where: str = Field(min_length=1)
    reason: str = Field(min_length=1)
    until: date


class Settings(_Strict):
    """All settings of a site. The defaults suit one Prometheus and one job.

    Attributes:
        prefix: first word of every metric name; must equal the service's (`MNEMOSCOPE_PREFIX`).
        selectors: labels and values that every query matches, such as `{"namespace": "memory"}`.
        cluster_label: the label that names the cluster.
        instance_labels: labels of one process; recording rules aggregate them away and keep all others.
        job: the `job` label of the service's scrape; an alert fires when no instance of it is up.
        scrape_interval: how often Prometheus scrapes; every range is at least four times as long.
        evaluation_interval: how often rule groups are evaluated.
        rate_window: range of the rates in threshold alerts and their recording rules.
        min_events: events that a rate window needs before an alert on a quantile or a ratio can fire.
        min_bad_events: bad events that a burn-rate window needs before its alert can fire.
        grafana_url: base of the dashboard links.
        runbook_base_url: base of the runbook links.
        folder: title of the Grafana folder for published boards; the folder's uid derives from it.
        alert_labels: labels added to every alert, such as `{"team": "memory"}`.
        alerts: overrides by alert name.
        thresholds: overrides by threshold key.
        objectives: overrides by objective key.
        silences: findings of `check` that the site accepts until a date.
        output: folder that `generate` writes.
        runbooks: folder of the runbook pages.
    """

    prefix: Annotated[str, AfterValidator(valid_prefix)] = DEFAULT_PREFIX
    selectors: Labels = {}
    cluster_label: LabelName = "cluster"
    instance_labels: tuple[LabelName, ...] = Field(default=("instance", "pod"), min_length=1)
    job: str = "memory"
    scrape_interval: Duration = "15s"
    evaluation_interval: Duration = "30s"
    rate_window: Duration = "5m"
    min_events: int = Field(default=20, ge=1)
    min_bad_events: int = Field(default=5, ge=1)
    grafana_url: Url = "http://localhost:3000"
    runbook_base_url: Url = "https://github.com/mnemoscope/mnemoscope/blob/main/runbooks"
    folder: str = Field(default="Memory", min_length=1, max_length=100)
    alert_labels: Labels = {}
    alerts: dict[str, AlertOverride] = {}
    thresholds: dict[str, Annotated[ThresholdOverride, Field()]] = {}
    objectives: dict[str, Annotated[ObjectiveOverride, Field()]] = {}
    silences: tuple[Silence, ...] = ()
    output: str = "generated"
    runbooks: str = "runbooks"

    def threshold(self, key: str) -> Threshold:
        """Return the threshold `key` with this site's limits.

        Raises:
            KeyError: there is no such threshold.
        """
        return self._thresholds()[key]

    def all_objectives(self) -> tuple[Objective, ...]:
        """Return all objectives with this site's targets."""
        return tuple(self._objective(objective) for objective in OBJECTIVES)

    def all_thresholds(self) -> tuple[Threshold, ...]:
        """Return all thresholds with this site's limits."""
        return tuple(self._thresholds().values())

    @property
    def queries(self) -> promql.Queries:
        """A builder of selectors with this site's prefix and matchers."""
        return promql.Queries(
            self.prefix, tuple(promql.Matcher(name, "=", value) for name, value in self.selectors.items())
        )

    def _thresholds(self) -> dict[str, Threshold]:
        return {t.key: _overridden(t, self.thresholds.get(t.key)) for t in THRESHOLDS}

    def _objective(self, objective: Objective) -> Objective:
        return _overridden(objective, self.objectives.get(objective.key))

    def model_post_init(self, _context: object) -> None:
        """Refuse unknown keys of the two override tables, and ranges that are too short."""
        _known("thresholds", self.thresholds, [t.key for t in THRESHOLDS])
        _known("objectives", self.objectives, [x.key for x in OBJECTIVES])
        self._thresholds()
        self.all_objectives()
        if units.seconds(self.rate_window) < 4 * units.seconds(self.scrape_interval):
            raise ValueError(
                f"rate_window ({self.rate_window}) must be at least four times scrape_interval ({self.scrape_interval})"
            )


def _overridden(item: T, override: BaseModel | None) -> T:
    changes = override.model_dump(exclude_none=True) if override else {}
    return replace(item, **changes)


def _known(table: str, given: Mapping[str, object], known: list[str]) -> None:
    for name in given:
        if name not in known:
            raise ValueError(f"{table}.{name} is unknown; known are {', '.join(known)}")


def load(path: Path | None = None) -> Settings:
    """Return the settings in `path`; without a path, those in `mnemoscope.yaml` if that exists, else the defaults.

    Raises:
        MnemoscopeError: the file cannot be read, is not YAML, or has mistakes; the message names the place of each.
    """
    if path is None:
        path = Path(DEFAULT_FILE)
        if not path.exists():
            return Settings()
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise MnemoscopeError(f"{path}: cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise MnemoscopeError(f"{path}: not YAML: {error}") from None
    if data is None:
        return Settings()
    if not isinstance(data, dict):
        raise MnemoscopeError(f"{path}: expected a mapping of settings, found {type(data).__name__}")
    return from_mapping(data, where=str(path))


def from_mapping(data: Mapping[str, Any], where: str = "settings") -> Settings:
    """Return the settings in plain data.

    Raises:
        MnemoscopeError: the data has mistakes; the message names the place of each.
    """
    try:
        return Settings.model_validate(_decimals(data))
    except ValidationError as error:
        raise MnemoscopeError(f"{where}: {'; '.join(_line(e) for e in error.errors())}") from None
    except ValueError as error:
        raise MnemoscopeError(f"{where}: {error}") from None


def _decimals(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _decimals(item) for key, item in value.items()}
    return _exact(value)


def _line(error: Any) -> str:
    place = ".".join(str(part) for part in error["loc"])
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        message = "unknown setting"
    return f"{place}: {message}" if place else message
