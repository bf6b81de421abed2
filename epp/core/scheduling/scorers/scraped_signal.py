"""What the scorers of scraped signals share: whether our own books correct the scrape."""

from epp.core.config.structure import Section
from epp.core.scheduling.cycle import Candidates, Cycle, ScrapedSignal
from epp.core.state.columns import FloatColumn


class ScrapedSignalParameters(Section, frozen=True):
    """`inflightCorrection`: count what we sent since the scrape; false for exact parity with the reference."""

    inflight_correction: bool = True

    def read(self, signal: ScrapedSignal, cycle: Cycle, candidates: Candidates) -> FloatColumn:
        """The signal, corrected (`Cycle.corrected`) or as it was scraped; shape (candidates,)."""
        if self.inflight_correction:
            return cycle.corrected(signal, candidates)
        return cycle.scraped(signal, candidates)


CORRECTED = ScrapedSignalParameters()
