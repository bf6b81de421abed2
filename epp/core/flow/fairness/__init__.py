"""Fairness policies: which flow of a band goes next."""
