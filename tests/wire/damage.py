"""What may happen to messages: cut, flipped, spliced, parts lost or doubled."""

from collections.abc import Iterable

from hypothesis import strategies as st


def damaged(messages: Iterable[list[bytes]]) -> st.SearchStrategy[list[bytes]]:
    """Return a strategy of messages, most of them damaged in one to three places."""
    return st.sampled_from(list(messages)).flatmap(_damage)


@st.composite
def _damage(draw: st.DrawFn, parts: list[bytes]) -> list[bytes]:
    found = list(parts)
    for _ in range(draw(st.integers(0, 3))):
        if not found:
            break
        index = draw(st.integers(0, len(found) - 1))
        step = draw(st.sampled_from(["cut", "flip", "splice", "drop", "double"]))
        if step == "drop":
            del found[index]
        elif step == "double":
            found.insert(index, found[index])
        else:
            found[index] = _damage_part(draw, found[index], step)
    return found


def _damage_part(draw: st.DrawFn, part: bytes, step: str) -> bytes:
    at = draw(st.integers(0, max(0, len(part) - 1)))
    if step == "cut":
        return part[:at]
    if step == "flip":
        return part[:at] + bytes([draw(st.integers(0, 255))]) + part[at + 1 :]
    tokens = [b"-1", b"1e999", b"NaN", b'"', b"{}", b"[[", b"\\u0061", b"\x00", b":"]
    return part[:at] + draw(st.sampled_from(tokens) | st.binary()) + part[at:]
