"""Emulators written with an export: C++ and numpy without dependencies."""
