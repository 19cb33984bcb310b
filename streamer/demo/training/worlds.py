"""Sets of scenes and crops, made in parallel; the same arguments give the same set."""

from collections.abc import Sequence
from functools import partial
from multiprocessing import get_context

import cv2
import numpy as np
from numpy.typing import NDArray

from streamer.demo.scenes import KINDS, LABELS, SIZE, World, crops, scene
from streamer.demo.scenes.composition import PlacedSign

Image = NDArray[np.uint8]
Boxes = NDArray[np.float32]
"""float32 [signs, 5]: xmin, ymin, xmax, ymax in pixels, index of the label."""

WORLDS: tuple[World, ...] = ("train", "held-out")


def _rng(world: World, seed: int, index: int) -> np.random.Generator:
    return np.random.default_rng([seed, WORLDS.index(world), index])


def _boxes(signs: Sequence[PlacedSign]) -> Boxes:
    rows = [(s.xmin, s.ymin, s.xmax, s.ymax, LABELS.index(s.label)) for s in signs]
    return np.array(rows, np.float32).reshape(-1, 5)


def _scene(index: int, world: World, seed: int) -> tuple[Image, Boxes]:
    cv2.setNumThreads(1)
    image, signs = scene(_rng(world, seed, index), world)
    return image, _boxes(signs)


def scenes(world: World, count: int, seed: int) -> tuple[Image, list[Boxes]]:
    """Make scenes, on two processes.

    Returns:
        uint8 [count, height, width, 3], BGR, and each scene's boxes.
    """
    images = np.empty((count, SIZE[1], SIZE[0], 3), np.uint8)
    boxes: list[Boxes] = []
    with get_context("fork").Pool(2) as pool:
        made = pool.imap(partial(_scene, world=world, seed=seed), range(count), chunksize=32)
        for index, (image, signs) in enumerate(made):
            images[index] = image
            boxes.append(signs)
    return images, boxes


def _crops(index: int, world: World, seed: int, side: int) -> list[tuple[Image, int, int]]:
    cv2.setNumThreads(1)
    return [
        (
            cv2.resize(crop, (side, side), interpolation=cv2.INTER_LINEAR).astype(np.uint8),
            KINDS.index(kind),
            max(crop.shape[:2]),
        )
        for crop, kind in crops(_rng(world, seed, index), world)
    ]


def crop_set(
    world: World, scene_count: int, seed: int, side: int
) -> tuple[Image, NDArray[np.int64], NDArray[np.int64]]:
    """Make crops of the signs in scenes, on two processes.

    Returns:
        uint8 [crops, side, side, 3] in BGR, the index of each crop's kind, and its longer edge in
        pixels before it was resized.
    """
    with get_context("fork").Pool(2) as pool:
        work = partial(_crops, world=world, seed=seed, side=side)
        made = [row for rows in pool.imap(work, range(scene_count), chunksize=32) for row in rows]
    images, kinds, edges = zip(*made, strict=True)
    return np.stack(images), np.array(kinds, np.int64), np.array(edges, np.int64)
