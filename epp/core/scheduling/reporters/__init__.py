"""Reporters: tell the gateway something of a finished request. One file each."""
