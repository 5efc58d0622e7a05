"""Transforms: images in order, their pixels changed before they are written and sent.

A transform is one module and one line in `TRANSFORMS`. `Start.rotate` asks for `rotate`
by itself and has no entry.
"""

from typing import Protocol

from srx_service.messages import Image, Start


class Transform(Protocol):
    """One image in, one image out, without memory of others.

    Several threads call it at once; what takes time in it releases the GIL.
    """

    def apply(self, image: Image, start: Start | None) -> Image:
        """Return the image as it is to be written, sent and shown.

        Args:
            image: Not changed.
            start: Of its series; None when it has not been seen.

        Raises:
            ProtocolError: The pixels cannot be read; the frame is rejected.
        """
        ...


TRANSFORMS: dict[str, type[Transform]] = {}
"""The `pipeline:` of an entry in detectors.yaml."""
