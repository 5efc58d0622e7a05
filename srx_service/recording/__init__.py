"""`srx record` and `srx replay`: a stream into a file, and a file as a stream again."""

from srx_service.recording.record import main as main_record
from srx_service.recording.replay import main as main_replay

__all__ = ["main_record", "main_replay"]
