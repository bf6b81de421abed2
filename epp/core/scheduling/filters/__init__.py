"""Filters: leave candidates out."""
