"""PromQL expressions: build them from catalog metrics, and parse them for checks."""

from .building import TARGET_LABELS, Matcher, Part, Queries, by, le, quantile, ratio, without
from .parsing import Selector, parse, selectors

__all__ = [
    "TARGET_LABELS",
    "Matcher",
    "Part",
    "Queries",
    "Selector",
    "by",
    "le",
    "parse",
    "quantile",
    "ratio",
    "selectors",
    "without",
]
