"""Joins model rewrites, objectives, candidates, admission and scheduling into one decision."""
