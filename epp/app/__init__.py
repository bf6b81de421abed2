"""Composition root: wiring, timers, drain. The only place that creates tasks."""
