"""always-disagg-pd-decider and always-disagg-multimodal-decider: every request, or every one with images and the like.

Source: the deciders of the same names of the reference endpoint picker.
"""

from epp.core.scheduling.cycle import Cycle, ProfileResult


class AlwaysDecider:
    """always-disagg-pd-decider."""

    def wants_stage(self, cycle: Cycle, decode: ProfileResult) -> bool:  # noqa: ARG002  protocol's shape
        """True."""
        return True


class MultimodalDecider:
    """always-disagg-multimodal-decider."""

    def wants_stage(self, cycle: Cycle, decode: ProfileResult) -> bool:  # noqa: ARG002  protocol's shape
        """Whether the messages have parts that an encoder must see."""
        return cycle.request.prompt.has_media
