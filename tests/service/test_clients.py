import pytest

from srx_service.clients import ACCEPTED, DISCONNECTED, SUCCEEDED, Clients

COMES = [(ACCEPTED, 7), (SUCCEEDED, 0)]

CASES = {
    "a client": (COMES, 1),
    "a client that left": ([*COMES, (DISCONNECTED, 7)], 0),
    "a client that came back": ([*COMES, (DISCONNECTED, 7), *COMES], 1),
    "two clients": ([*COMES, (ACCEPTED, 8), (SUCCEEDED, 0)], 2),
    "TCP that never speaks": ([(ACCEPTED, 7)], 0),
    "TCP that gave up": ([(ACCEPTED, 7), (DISCONNECTED, 7)], 0),
    "a port scan beside a client": ([*COMES, (ACCEPTED, 8), (DISCONNECTED, 8)], 1),
    "a client beside silent TCP": ([(ACCEPTED, 6), *COMES], 1),
    "whose peer gave up": ([(ACCEPTED, 6), *COMES, (DISCONNECTED, 6)], 1),
    "a client that left and silent TCP that came later": (
        [*COMES, (ACCEPTED, 8), (DISCONNECTED, 7)],
        0,
    ),
    "a handshake taken for that of a newer one, which left": (
        [(ACCEPTED, 7), (ACCEPTED, 8), (SUCCEEDED, 0), (DISCONNECTED, 8)],
        1,
    ),
    "a client that left, perhaps, till silent TCP has gone too": (
        [(ACCEPTED, 6), *COMES, (DISCONNECTED, 7), (DISCONNECTED, 6)],
        0,
    ),
    "events of connections nobody knows": ([(SUCCEEDED, 0), (DISCONNECTED, 3)], 0),
}


@pytest.mark.parametrize(("events", "count"), CASES.values(), ids=CASES.keys())
def test_only_a_handshake_makes_a_client(events, count):
    clients = Clients()
    for event in events:
        clients.event(*event)
    assert clients.count == count
