"""Pickers: choose among scored candidates."""
