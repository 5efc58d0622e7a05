"""Ratios of the service to a yardstick in C."""
