"""Rows that lie elsewhere: sources of blocks, one checking pass, and a cache on disk to train from."""
