"""The look of boards: colours that colour-blind readers can distinguish, line styles, thresholds and units.

Colour is never the only difference: quantiles differ in line style, thresholds have lines, states have text.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from mnemoscope.instrumentation.catalog import Unit
from mnemoscope.model.thresholds import Threshold

# The palette of Okabe and Ito, without black, which is invisible on a dark background.
BLUE = "#0072B2"
ORANGE = "#E69F00"
GREEN = "#009E73"
PURPLE = "#CC79A7"
SKY = "#56B4E9"
RED = "#D55E00"
YELLOW = "#F0E442"
GREY = "#999999"
PALETTE = (BLUE, ORANGE, GREEN, PURPLE, SKY, RED, YELLOW)

Line = Literal["solid", "dash", "dot"]
# Dash patterns are pixels on and off. Without a pattern Grafana draws a solid line.
_PATTERNS: dict[Line, list[int]] = {"dash": [10, 6], "dot": [2, 6]}

QUANTILE_LINES: dict[float, Line] = {0.5: "dot", 0.95: "dash", 0.99: "solid"}

UNITS = {Unit.SECONDS: "s", Unit.BYTES: "decbytes", Unit.RATIO: "percentunit", Unit.COUNT: "short"}
"""Grafana's unit for each unit of the catalog. Sizes are decimal, as in the thresholds."""

PER_SECOND = "ops"
REQUESTS = "reqps"


@dataclass(frozen=True, slots=True)
class ThresholdStep:
    """The colour of readings from `value` upwards. None is the base, below every other step."""

    color: str
    value: float | None = None

    def to_json_data(self) -> dict[str, Any]:
        """Return the step as Grafana stores it."""
        return {"color": self.color, "value": self.value}


NEUTRAL = (ThresholdStep(BLUE),)


def zones(threshold: Threshold) -> tuple[ThresholdStep, ...]:
    """Return steps of green, yellow and red at the limits that the alert of this threshold reads."""
    if threshold.worse == "above":
        return limits(threshold.yellow, threshold.red)
    if threshold.red is None:
        return (ThresholdStep(YELLOW), ThresholdStep(GREEN, float(threshold.yellow)))
    return (
        ThresholdStep(RED),
        ThresholdStep(YELLOW, float(threshold.red)),
        ThresholdStep(GREEN, float(threshold.yellow)),
    )


def limits(yellow: Decimal | float, red: Decimal | float | None = None) -> tuple[ThresholdStep, ...]:
    """Return steps of green, yellow and red for a reading that is worse when it is higher."""
    steps = (ThresholdStep(GREEN), ThresholdStep(YELLOW, float(yellow)))
    return steps if red is None else (*steps, ThresholdStep(RED, float(red)))


def line_style(line: Line) -> dict[str, Any]:
    """Return the `custom.lineStyle` of a series."""
    return {"fill": line, "dash": _PATTERNS[line]} if line in _PATTERNS else {"fill": line}
