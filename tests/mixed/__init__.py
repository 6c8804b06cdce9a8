"""Random spend records, and what every table must hold after they were folded, worked out without the extension."""
