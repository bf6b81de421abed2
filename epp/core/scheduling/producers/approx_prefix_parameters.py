"""Parameters of approx-prefix-cache-producer, as a configuration file has them."""

from typing import Annotated

import msgspec

NotNegative = Annotated[int, msgspec.Meta(ge=0)]


class ApproxPrefixCacheParameters(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Parameters of the reference; sizes in tokens. Of both caps on the match the one in tokens counts if given."""

    auto_tune: bool = True
    """take block size and capacity from the engine's own metrics where they are known"""
    block_size_tokens: NotNegative = 0
    """0: the default of 16"""
    block_size: NotNegative = 0
    """deprecated: in characters (v1.1 to v1.3)"""
    hash_block_size: NotNegative = 0
    """deprecated: in characters (v1.0)"""
    max_prefix_tokens_to_match: NotNegative = 0
    max_prefix_blocks_to_match: NotNegative = 0
    lru_capacity_per_server: NotNegative = 0
    """blocks per endpoint; 0: the default of 31250"""
