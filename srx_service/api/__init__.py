"""The HTTP interface: what the line tells, and how it is steered."""
