"""Programs that simulate and synthesise, and their reports."""
