"""Centre heads: a heat map of the objects' middles, and at each middle how large they are."""

import numpy as np

from streamer.errors import ModelError
from streamer.postprocess.arrays import Floats, finite_rows
from streamer.postprocess.candidates import (
    Candidates,
    Geometries,
    Head,
    Ints,
    Outputs,
    floats_of,
    input_size,
    zeroed,
)
from streamer.postprocess.classes import applied
from streamer.postprocess.coding import corners


class Centres:
    """`heatmap`, `sizes`, `offsets` and perhaps `landmarks`, each [N, channels, rows, columns].

    An object is where a label's heat is the highest of its 3x3 neighbours (Objects as Points,
    section 4). Sizes and offsets count in cells.
    """

    raw = False

    def __init__(
        self, heatmap: Head, sizes: Head, offsets: Head | None, landmarks: Head | None
    ) -> None:
        self._heatmap = heatmap
        self._sizes = sizes
        self._offsets = offsets
        self._landmarks = landmarks

    def read(self, outputs: Outputs, geometries: Geometries, threshold: float) -> Candidates:
        """See `Reader.read`."""
        heat = floats_of(outputs, self._heatmap)
        finite = finite_rows(heat)
        heat = applied(self._heatmap[1].activation or "sigmoid", zeroed(heat, finite))
        peaks = (heat >= threshold) & (heat > 0) & (heat == _highest_near(heat))
        rows, labels, ys, xs = np.nonzero(peaks & finite[:, None, None, None])
        height, width = input_size(geometries)
        cell = np.array([width / heat.shape[3], height / heat.shape[2]], dtype=np.float32)
        at = rows, ys, xs
        sizes = self._found(outputs, self._sizes, at, heat) * cell
        corner = np.stack([xs, ys], axis=1).astype(np.float32)
        inside = self._found(outputs, self._offsets, at, heat) if self._offsets else np.float32(0)
        centres = ((corner + inside) * cell).astype(np.float32)
        points = None
        if self._landmarks is not None:
            found = self._found(outputs, self._landmarks, at, heat)
            points = centres[:, None] + found.reshape(len(found), -1, 2) * cell
        boxes = corners(np.concatenate([centres, sizes], axis=1), "cxcywh")
        good = np.isfinite(boxes).all(axis=1)
        finite[rows[~good]] = False
        scores = heat[rows, labels, ys, xs]
        return Candidates(rows, boxes, scores, labels, finite, points)

    @staticmethod
    def _found(outputs: Outputs, head: Head, at: tuple[Ints, Ints, Ints], heat: Floats) -> Floats:
        values = floats_of(outputs, head)
        if values.shape[2:] != heat.shape[2:]:
            raise ModelError(
                f"output '{head[0]}' has shape {values.shape}; the heat map has {heat.shape}"
            )
        rows, ys, xs = at
        return values[rows, :, ys, xs]


def _highest_near(heat: Floats) -> Floats:
    """Give the maximum of each place and its eight neighbours."""
    wide = np.pad(heat, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    across = np.maximum(np.maximum(wide[..., :-2], wide[..., 1:-1]), wide[..., 2:])
    highest: Floats = np.maximum(
        np.maximum(across[..., :-2, :], across[..., 1:-1, :]), across[..., 2:, :]
    )
    return highest
