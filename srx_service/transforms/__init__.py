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


TRANSFORMS: dict[str, str] = {
    "OrcaPipeline": "srx_service.transforms.orca:OrcaPipeline",
    "PilatusPipeline": "srx_service.transforms.pilatus:PilatusPipeline",
}
"""The `pipeline:` of an entry in detectors.yaml, by name, and imported only then: what
numba costs, a second and some 150 MB, is spent where it is used.

A class that is a dataclass gets the keys of the entry that its fields are named for.
"""
