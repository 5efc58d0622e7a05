"""Bluesky devices for the srx service, which they reach over HTTP and never import.

`client` speaks to the service and knows no Bluesky; `drivers` and `simplon` start the
detector; `naming` names files; `staging`, `watch` and `events` carry one staging
through; `documents`, `stream_documents` and `datum_documents` tell of frames; `device`
and `plans` are what the RunEngine meets. `async_device` is the same for ophyd-async, an
extra of its own, and `handlers` opens files again for databroker and event-model.
"""
