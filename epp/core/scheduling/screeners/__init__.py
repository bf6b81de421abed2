"""Screeners: say which endpoints a request may go to at all. One file each."""
