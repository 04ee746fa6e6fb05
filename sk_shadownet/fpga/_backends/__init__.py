"""Kinds of hardware projects under one set of verbs."""
