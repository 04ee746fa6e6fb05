"""Emulators handed over with an export: C++ and numpy without dependencies."""
