"""All errors of the service, by whose fault they are.

SrxError
├── ConfigError     the site's: detectors.yaml cannot be used, the service refuses
│                   to start
├── ProtocolError   the source's: one message cannot be read; it is counted and the
│                   line goes on
├── Ignored         nobody's: a message that is known and carries nothing for the
│                   line; it is counted
├── WriteError      the storage's: an acquisition fails, the line goes on receiving
│                   and forwarding
└── RequestError    the client's: an HTTP request cannot be met as things stand
"""


class SrxError(Exception):
    """Base of every error this service raises on purpose."""


class ConfigError(SrxError):
    """The configuration cannot be used: file, entry, key and what is allowed."""


class ProtocolError(SrxError):
    """A message that cannot be read as its protocol demands.

    Args:
        kind: A few words, the same for all messages of this sort: they are counted by
            it.
        text: What was found and what is allowed.
        series: The series it belongs to, where that could still be read.
        number: Its place in the stream, where that could still be read.
    """

    def __init__(
        self,
        kind: str,
        text: str,
        *,
        series: int | None = None,
        number: int | None = None,
    ) -> None:
        super().__init__(f"{kind}: {text}")
        self.kind = kind
        self.series = series
        self.number = number


class Ignored(SrxError):
    """A message that is as it should be, and carries nothing for the line.

    Args:
        kind: A word or two, the same for all messages of this sort: they are counted
            by it.
    """

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class WriteError(SrxError):
    """The file cannot be made or written; the acquisition fails with this text."""


class RequestError(SrxError):
    """A request that cannot be met.

    Args:
        status: The HTTP status that tells it: 404, 409, 422, 507.
        title: A few words, the same for all errors of this sort.
        text: What is in the way and what to do.
    """

    def __init__(self, status: int, title: str, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.title = title
