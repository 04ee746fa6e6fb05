"""Objects as files without pickle: a list of what may be stored, its encoding, and files that are whole."""
