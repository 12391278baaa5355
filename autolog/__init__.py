"""Framework autologging over a crash-safe store."""
