"""Configuration: defaults, then a YAML file, then `EPISODIC_*` in the environment, then flags; checked as a whole.

All mistakes are reported in one line, before anything is started.
"""

from __future__ import annotations

import argparse
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from mnemoscope import catalog as m

from .errors import StartError
from .faults import Faults
from .recall import Blend

ENVIRONMENT = "EPISODIC_"
_TABLES = ("faults", "flags")


def _stage(value: object) -> str:
    stages = m.ROLLOUT_INFO.label("stage").values
    if str(value) not in stages:
        raise ValueError(f"choose one of {', '.join(stages)}")
    return str(value)


def _list(value: object) -> object:
    return [part for part in value.split(",") if part] if isinstance(value, str) else value


class Config(BaseModel):
    """All settings. Times are in seconds unless the name has another unit."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=8080, ge=0, le=65_535, description="port to listen on; 0 takes a free one")
    data: Path = Field(
        default=Path("episodic-memory"), description="folder for the stores; created if it does not exist"
    )
    track: Literal["stable", "canary"] = Field(default="stable", description="release track of this instance")
    stage: Annotated[str, BeforeValidator(_stage)] = Field(
        default="100", description="rollout stage, by share of users"
    )
    version: str = Field(default="1.0.0", min_length=1, max_length=40, description="version this instance runs")
    tokens: Annotated[list[str], BeforeValidator(_list)] = Field(
        default=[], description="bearer tokens that are accepted, separated by commas; without any, no token is needed"
    )
    connections: int = Field(default=16, ge=1, le=100, description="database connections at most")
    cache_bytes: int = Field(default=16_000_000, ge=1_000, description="bytes that the cache may hold")
    completions: int = Field(default=20, ge=1, description="completions that may run concurrently")
    completion_queue: int = Field(default=50, ge=0, description="completions that may wait for their turn")
    requests_per_second: float = Field(default=2_000, gt=0, description="average rate of requests that is let in")
    burst: int = Field(default=4_000, ge=1, description="requests admitted in one burst")
    episodes_per_day: int = Field(default=1_000_000, ge=1, description="episodes a user may create a day")
    retain_episodes: int = Field(default=50_000, ge=1, description="completed episodes kept; older ones are forgotten")
    seed_episodes: int = Field(default=150, ge=0, description="number of episodes to put into an empty store")
    episodic_weight: float = Field(default=0.7, ge=0, le=1, description="weight of episodic memory in blended recall")
    semantic_weight: float = Field(default=0.3, ge=0, le=1, description="weight of semantic memory in blended recall")
    semantic_timeout: float = Field(default=0.1, gt=0, description="time that blended recall waits for semantic memory")
    cohort: float = Field(default=1.0, ge=0, le=1, description="share of users with dual memory; others recall flat")
    consolidate_every: float = Field(default=5, ge=0, description="time between consolidations; 0 never")
    reconcile_every: float = Field(default=30, ge=0, description="time between reconciliations; 0 never")
    backup_every: float = Field(default=60, ge=0, description="time between backups; 0 never")
    shutdown_timeout: float = Field(default=30, gt=0, description="time limit for requests at shutdown")
    shutdown_linger: float = Field(
        default=0, ge=0, description="time to stay up after the last request, for a last scrape"
    )
    debug_locks: bool = Field(
        default=False, description="serve /debug/locks, which names code and threads, on the port of /metrics"
    )
    flags: dict[str, bool] = Field(default={"dual_memory": True}, description="feature flags, as name=true")
    faults: Faults = Field(default=Faults(), description="faults at start, as name=value")

    @model_validator(mode="after")
    def _weights(self) -> Config:
        if abs(self.episodic_weight + self.semantic_weight - 1) > 1e-9:
            raise ValueError("episodic_weight and semantic_weight must add up to 1")
        return self

    @property
    def blend(self) -> Blend:
        """The settings of blended recall."""
        return Blend(self.episodic_weight, self.semantic_weight, self.semantic_timeout)

    def in_cohort(self, user: str) -> bool:
        """Return whether this user has dual memory; it depends on the name only, so every instance agrees."""
        return self.flags.get("dual_memory", True) and zlib.crc32(user.encode()) % 10_000 < self.cohort * 10_000


def load(arguments: Sequence[str], environment: Mapping[str, str]) -> Config:
    """Return the configuration from flags, environment and file.

    Raises:
        StartError: a setting is wrong.
    """
    flags = vars(_parser().parse_args(arguments))
    file = flags.pop("config")
    values = _from_file(Path(file)) if file else {}
    for source in (_from_environment(environment), {name: value for name, value in flags.items() if value is not None}):
        for name, value in source.items():
            values[name] = {**values.get(name, {}), **value} if name in _TABLES and isinstance(value, dict) else value
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        raise StartError("; ".join(_line(part) for part in error.errors())) from None
    _prepare(config.data)
    return config


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise StartError(f"{message}; --help lists the flags")


def _parser() -> _Parser:
    parser = _Parser(prog="episodic_memory", description="A small agent-memory service.", allow_abbrev=False)
    parser.add_argument("--config", metavar="FILE", help="YAML file with any of the settings below")
    for name, field in Config.model_fields.items():
        flag = "--" + name.replace("_", "-")
        if name in _TABLES:
            parser.add_argument(
                flag.removesuffix("s"), dest=name, action=_Pair, metavar="NAME=VALUE", help=field.description
            )
        else:
            parser.add_argument(
                flag, dest=name, metavar="VALUE", help=f"{field.description} (default: {field.default})"
            )
    return parser


class _Pair(argparse.Action):
    """An argument NAME=VALUE, collected in a dictionary."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, _flag: Any = None
    ) -> None:
        name, equals, value = str(values).partition("=")
        if not equals:
            parser.error(f"{values!r} is not NAME=VALUE")
        setattr(namespace, self.dest, {**(getattr(namespace, self.dest) or {}), name: value})


def _from_file(path: Path) -> dict[str, Any]:
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise StartError(f"{path} cannot be read: {error}") from None
    if not isinstance(data, dict):
        raise StartError(f"{path}: expected a mapping of settings")
    return data


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings in the environment.

    `EPISODIC_PORT=0` sets a field, `EPISODIC_FAULTS_COLD_CACHE=true` an entry of a table.
    """
    values: dict[str, Any] = {}
    for variable, value in environment.items():
        if not variable.startswith(ENVIRONMENT):
            continue
        name = variable.removeprefix(ENVIRONMENT).lower()
        table, _, entry = name.partition("_")
        if table in _TABLES and entry:
            values.setdefault(table, {})[entry] = value
        else:
            values[name] = value
    return values


def _prepare(data: Path) -> None:
    try:
        data.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=data):
            pass
    except OSError as error:
        raise StartError(f"data: {data} is not a folder that can be written to: {error.strerror}") from None


def _line(error: Any) -> str:
    place = ".".join(str(part) for part in error["loc"])
    message = "unknown setting" if error["type"] == "extra_forbidden" else error["msg"].removeprefix("Value error, ")
    return f"{place}: {message}" if place else message
