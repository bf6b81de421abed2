"""Joins objectives, candidates, admission and scheduling into one decision."""
