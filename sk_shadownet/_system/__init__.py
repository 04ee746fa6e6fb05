"""What the machine gives: files, memory, threads, random numbers, versions."""
