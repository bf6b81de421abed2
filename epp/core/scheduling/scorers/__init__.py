"""Scorers: one file per policy. Each maps candidates to 0..1, larger is better."""
