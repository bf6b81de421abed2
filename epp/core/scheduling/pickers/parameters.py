"""Parameters that all pickers share."""

import msgspec


class PickerParameters(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """`maxNumOfEndpoints`: how many endpoints to name, the rest as fallbacks in order; below 1 means 1."""

    max_num_of_endpoints: int = 1

    @property
    def count(self) -> int:
        """At least 1."""
        return max(1, self.max_num_of_endpoints)
