"""Pools of fake engines in virtual time, behind the picker's own scheduling code."""
