"""Integrate each image azimuthally: python integrate_pyfai.py ENDPOINT PONI [BINS].

PONI is the geometry, a file of pyFAI's calibration. Started several times, with
service with `announce: all`, it shares the images with itself.
"""

import sys

import pyFAI
from stream import counts, images


def main(endpoint: str, poni: str, bins: int = 500) -> None:
    """Print where the strongest ring of each image is, and how strong."""
    geometry = pyFAI.load(poni)
    for frame, pixels in images(endpoint):
        # pyFAI leaves out what is NaN. The first call computes which pixel is of which
        # bin, the others only add up.
        profile = geometry.integrate1d(
            counts(pixels), bins, unit="2th_deg", method=("no", "csr", "cython")
        )
        k = profile.intensity.argmax()
        angle, strength = profile.radial[k], profile.intensity[k]
        print(f"{frame} 2theta {angle:.4f} intensity {strength:.3f}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
