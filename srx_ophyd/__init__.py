"""Bluesky devices for the srx service, which they reach over HTTP and never import.

`client` speaks to the service and knows no Bluesky; `drivers` start the detector;
`staging`, `watch` and `events` carry one staging through; `documents`, `status`,
`device` and `plans` are what the RunEngine meets.
"""
