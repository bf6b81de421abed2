"""Ordering policies: which item of a flow goes next."""
