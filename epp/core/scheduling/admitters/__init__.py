"""Admitters: may refuse a request that could be scheduled. One file each."""
