"""Certificates of the ports: a directory that is followed, or a self-signed pair."""
