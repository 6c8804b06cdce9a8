"""Random spend records, and the contents that every table must have after a fold, worked out without the extension."""
