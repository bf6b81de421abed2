"""`features` of vLLM's tokens-in API: where in the token ids images and the like are, and which they are."""

import msgspec

from epp.core.domain.request import MultimodalItem


class Placeholder(msgspec.Struct):
    """Place of one item, in tokens."""

    offset: int
    length: int


class Features(msgspec.Struct):
    """By modality, in the same order; everything else in there is data for the engine."""

    mm_hashes: dict[str, list[str | None]] | None = None
    mm_placeholders: dict[str, list[Placeholder]] | None = None


def items_of(features: Features | None) -> tuple[MultimodalItem, ...] | None:
    """The items in the order of their places; None when it is not said which they are."""
    if features is None or not features.mm_placeholders:
        return ()
    items = []
    for modality, places in features.mm_placeholders.items():
        hashes = (features.mm_hashes or {}).get(modality, [])
        if len(hashes) != len(places) or not all(hashes):
            return None
        items += [
            MultimodalItem(str(name), place.offset, place.length) for name, place in zip(hashes, places, strict=True)
        ]
    return tuple(sorted(items, key=lambda item: item.offset))
