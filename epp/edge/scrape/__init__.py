"""Polls the model servers' metrics pages: what to read from them, how often, and whom to tell."""
