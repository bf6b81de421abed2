"""Kubernetes-style objects from files: what the pool is, who is in it, which objectives and rewrites it has."""
