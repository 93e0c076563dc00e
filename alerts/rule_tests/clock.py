"""When a rule test scrapes and evaluates. Times are whole milliseconds."""

from __future__ import annotations

from dataclasses import dataclass

from mnemoscope.model import units
from mnemoscope.model.settings import Settings


@dataclass(frozen=True, slots=True)
class Clock:
    """The intervals at which samples are scraped and rules are evaluated, in milliseconds."""

    scrape: int
    evaluation: int

    @classmethod
    def of(cls, settings: Settings) -> Clock:
        """Return the clock of a site."""
        return cls(milliseconds(settings.scrape_interval), milliseconds(settings.evaluation_interval))

    def evaluated(self, moment: int) -> int:
        """Return the first evaluation at or after `moment`."""
        return -(-moment // self.evaluation) * self.evaluation

    @property
    def first_rate(self) -> int:
        """The first evaluation at which a series that began at 0 has a rate: it takes two samples."""
        return self.evaluated(self.scrape)

    def samples(self, duration: int) -> int:
        """Return the number of samples that cover `duration`."""
        return -(-duration // self.scrape)


def milliseconds(duration: str) -> int:
    """Return a Prometheus duration in milliseconds."""
    return round(units.seconds(duration) * 1000)


def as_duration(moment: int) -> str:
    """Return milliseconds as a Prometheus duration."""
    return f"{moment // 1000}s" if moment % 1000 == 0 else f"{moment}ms"
