"""How large the inputs are that a model makes of a record."""

from streamer.models import Manifest
from streamer.models.manifest import ImageInput


def _pixels(given: ImageInput) -> int:
    """Give the pixels of a picture as it enters the model; 0 where it stays as it is."""
    size = given.cropped or given.pad_size
    if size is not None:
        return size.height * size.width
    if given.size.height is not None and given.size.width is not None:
        return given.size.height * given.size.width
    edge = given.size.shortest_edge
    if edge is not None:
        return edge * (given.size.longest_edge or edge)
    frame = given.size.frame or (0, 0)
    return frame[0] * frame[1]


def longest_edge(manifest: Manifest) -> int | None:
    """Give the longest side that a picture is resized to; None where it stays as it is."""
    edges: list[int] = []
    for given in manifest.inputs.values():
        if given.kind == "image-bytes":
            return None
        if given.kind != "image":
            continue
        size = given.size
        sides = [size.height, size.width, size.shortest_edge, size.longest_edge]
        sides += list(size.frame or ())
        known = [side for side in sides if side is not None]
        if not known:
            return None
        edges.append(max(known))
    return max(edges, default=None)


def input_bytes(manifest: Manifest) -> int:
    """Give what the inputs made of one record take at the most, roughly."""
    total = 0
    for given in manifest.inputs.values():
        if given.kind == "image":
            total += 3 * _pixels(given)
        elif given.kind == "text":
            total += 8 * 64 * len(given.tensors)
    return total
