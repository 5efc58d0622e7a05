"""Where an entry of detectors.yaml connects to, and the ports it cannot use twice."""

from collections.abc import Iterator, Mapping, Sequence

LOCAL_HOSTS = {"localhost", "127.0.0.1", "[::1]"}


def pair(hosts: Sequence[str], ports: Sequence[int]) -> tuple[str, ...]:
    """Return ZeroMQ endpoints: as many as the longer list, the shorter one repeated."""
    count = max(len(hosts), len(ports)) if hosts and ports else 0
    return tuple(
        f"tcp://{hosts[i % len(hosts)]}:{ports[i % len(ports)]}" for i in range(count)
    )


def problems(
    hosts: Sequence[str],
    ports: Sequence[int],
    own: Mapping[str, int],
    modules: int | None = None,
) -> list[str]:
    """Return what is wrong with an entry's ports, in words.

    Args:
        hosts: The detector's control units.
        ports: Their ports.
        own: The keys and numbers of the ports that the service listens on; 0: any.
        modules: As many endpoints there have to be; None: any number.
    """
    if len(hosts) > 1 and len(ports) > 1 and len(hosts) != len(ports):
        return [
            f"{len(hosts)} hosts in dcu_host_purple but {len(ports)} ports in "
            "dcu_port_purple: give as many, or one of either"
        ]
    endpoints = pair(hosts, ports)
    if modules is not None and len(endpoints) != modules:
        return [
            f"{len(endpoints)} endpoints of dcu_host_purple and dcu_port_purple, but "
            f"each of {modules} modules has one: give {modules} hosts or ports"
        ]
    return [*_shared(own), *_repeated(endpoints), *_taken(endpoints, own)]


def _shared(own: Mapping[str, int]) -> Iterator[str]:
    keys_by_port: dict[int, list[str]] = {}
    for key, port in own.items():
        keys_by_port.setdefault(port, []).append(key)
    for port, keys in keys_by_port.items():
        if port != 0 and len(keys) > 1:
            yield f"port {port} is used twice: {' and '.join(keys)}"


def _repeated(endpoints: Sequence[str]) -> Iterator[str]:
    for endpoint in dict.fromkeys(endpoints):
        if endpoints.count(endpoint) > 1:
            yield (
                f"{endpoint} is connected to twice; nworkers is what makes parallel "
                "connections"
            )


def _taken(endpoints: Sequence[str], own: Mapping[str, int]) -> Iterator[str]:
    """A detector on this machine, a simulator say, listens on a port of its own."""
    for endpoint in dict.fromkeys(endpoints):
        host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
        for key, number in own.items():
            if host in LOCAL_HOSTS and int(port) == number:
                yield f"port {port} is used twice: {key} and the detector at {endpoint}"
