"""Producers: make the data that scorers consume, once per decision."""
