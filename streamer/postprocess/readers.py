"""From what a manifest says of a detector's outputs to what reads them."""

from collections.abc import Sequence

from streamer.errors import ConfigError
from streamer.models.manifest import Manifest
from streamer.postprocess.candidates import Head, Reader
from streamer.postprocess.centres import Centres
from streamer.postprocess.grids import Anchored, Grid
from streamer.postprocess.heads import KINDS_OF_SCORES, HeadReader
from streamer.postprocess.listed import Listed

_GRIDS = ("yolox", "yolov5", "yolov8")
_ANCHORED = ("yolov2", "yolov3", "yolov5-raw")
_BY_LEVEL = ("boxes", *KINDS_OF_SCORES, "objectness", "landmarks")
_BESIDE_BOXES = {"boxes", "labels", "count", "indices", "objectness", "landmarks", "priors"}
_CENTRES = {"heatmap", "sizes"}
_BESIDE_CENTRES = {*_CENTRES, "offsets", "landmarks"}


def reader_for(manifest: Manifest) -> Reader:
    """Make the reader of a detector's outputs.

    Raises:
        ConfigError: they make no detector; says what would.
    """
    heads = heads_of(manifest)
    names = heads.keys()
    labels = len(manifest.id2label)
    if len(names) == 1 and names <= {*_GRIDS}:
        return Grid(next(iter(heads.values()))[0])
    if len(names) == 1 and names <= {*_ANCHORED}:
        return Anchored(next(iter(heads.values())), labels, manifest.name)
    if "detections" in names and names <= {"detections", "count"}:
        count = heads["count"][0] if "count" in heads else None
        return Listed(heads["detections"][0], count, manifest.name)
    scores = names & {*KINDS_OF_SCORES}
    if "boxes" in names and len(scores) == 1 and names <= _BESIDE_BOXES | scores:
        return HeadReader(heads, labels, manifest.name)
    if names >= _CENTRES and names <= _BESIDE_CENTRES:
        first = {decode: several[0] for decode, several in heads.items()}
        return Centres(
            first["heatmap"], first["sizes"], first.get("offsets"), first.get("landmarks")
        )
    raise ConfigError(
        f"model '{manifest.name}': object-detection needs one output with decode: yolox, "
        "yolov5, yolov8 or detections; or an output a level with decode: yolov2, yolov3 or "
        "yolov5-raw; or boxes with scores, detr, detr-sigmoid or ssd (and labels, count, indices, "
        "objectness, landmarks, priors, where there are such); or heatmap and sizes (and offsets, "
        f"landmarks); outputs has {', '.join(heads) or 'none'}"
    )


def heads_of(manifest: Manifest) -> dict[str, Sequence[Head]]:
    """Sort the outputs by what they are decoded as; levels of a grid by stride.

    Raises:
        ConfigError: two are decoded alike that are no levels.
    """
    heads: dict[str, list[Head]] = {}
    for name, output in manifest.outputs.items():
        if output.decode == "ignore":
            continue
        several = heads.setdefault(output.decode, [])
        if several and output.decode not in _ANCHORED and not _is_level(several, (name, output)):
            raise ConfigError(
                f"model '{manifest.name}': outputs '{several[0][0]}' and '{name}' are "
                f"both decode: {output.decode}; set one to decode: ignore"
                + (", or give each its stride" if output.decode in _BY_LEVEL else "")
            )
        several.append((name, output))
    for several in heads.values():
        several.sort(key=lambda head: head[1].stride or 0)
    return dict(heads)


def _is_level(others: Sequence[Head], head: Head) -> bool:
    output = head[1]
    strides = [other.stride for _, other in others]
    return (
        output.decode in _BY_LEVEL
        and output.stride is not None
        and None not in strides
        and output.stride not in strides
    )
