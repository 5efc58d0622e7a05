"""Without Bluesky: python acquire.py SERVICE_URL FILE FRAMES.

Arms the service for one series, waits until so many frames are durable, and stops.
"""

import sys

import httpx


def main(service: str, file: str, frames: int) -> None:
    """Print where the frames are, and what became of every image received."""
    with httpx.Client(base_url=f"{service}/api/v1", timeout=70) as api:
        armed = api.post("/acquisitions", json={"file": file, "expected": frames})
        armed.raise_for_status()
        path = f"/acquisitions/{armed.json()['id']}"
        print("armed", flush=True)
        told = armed.json()
        while told["rows"] < frames and told["state"] in ("armed", "running"):
            wait = {"wait_frames": frames, "timeout": 60}
            told = api.get(path, params=wait).json()
        told = api.post(f"{path}/stop").json()
    print(told["state"], told["file"], told["counts"])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
