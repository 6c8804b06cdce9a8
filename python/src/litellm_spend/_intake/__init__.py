"""Which events become records, and when."""
