"""What each cell of the detector should answer, and how wrong its answer is."""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, one_hot

_REACHES = ((0.0, 44.0), (32.0, 88.0), (64.0, 1e5))
"""Sizes in pixels (root of the area) that each level looks for; neighbours overlap."""
_RADIUS = 1.0  # cells around a sign's centre that answer for it, in cells


def cells(height: int, width: int, strides: tuple[int, ...]) -> Tensor:
    """Give [cells, 3]: column, row and stride of every cell, in the order of the answer."""
    grids = []
    for stride in strides:
        rows, columns = torch.meshgrid(
            torch.arange(height // stride), torch.arange(width // stride), indexing="ij"
        )
        flat = torch.stack([columns.flatten(), rows.flatten()], 1).float()
        grids.append(torch.cat([flat, torch.full((len(flat), 1), float(stride))], 1))
    return torch.cat(grids)


def decoded(raw: Tensor, grid: Tensor) -> Tensor:
    """Turn offsets and log sizes into corners in pixels, [..., 4]."""
    centre = (raw[..., :2] + grid[:, :2]) * grid[:, 2:]
    half = raw[..., 2:4].clamp(max=6).exp() * grid[:, 2:] / 2
    return torch.cat([centre - half, centre + half], -1)


def assigned(boxes: Tensor, grid: Tensor) -> Tensor:
    """Say which sign each cell answers for.

    Args:
        boxes: float32 [signs, 5], as `worlds.Boxes`.
        grid: what `cells` gives.

    Returns:
        int64 [cells], -1 where a cell answers for none; of two signs it takes the smaller.
    """
    owner = torch.full((len(grid),), -1, dtype=torch.long, device=grid.device)
    if not len(boxes):
        return owner
    sizes = (boxes[:, 2:4] - boxes[:, :2]).prod(1).sqrt()
    middles = (grid[:, :2] + 0.5) * grid[:, 2:]
    away = (middles[:, None] - (boxes[:, :2] + boxes[:, 2:4])[None] / 2).abs().amax(2)
    fits = away < _RADIUS * grid[:, 2:]
    for stride, (low, high) in zip(grid[:, 2].unique(), _REACHES, strict=True):
        fits &= (grid[:, 2:] != stride) | ((sizes >= low) & (sizes < high))[None]
    cost = torch.where(fits, sizes[None], torch.inf)
    best, index = cost.min(1)
    owner[best < torch.inf] = index[best < torch.inf]
    return owner


def overlap(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Give IoU and generalised IoU (Rezatofighi 2019) of boxes, pair by pair."""
    low, high = torch.maximum(one[:, :2], other[:, :2]), torch.minimum(one[:, 2:], other[:, 2:])
    shared = (high - low).clamp(min=0).prod(1)
    union = (one[:, 2:] - one[:, :2]).prod(1) + (other[:, 2:] - other[:, :2]).prod(1) - shared
    outer_low = torch.minimum(one[:, :2], other[:, :2])
    outer = (torch.maximum(one[:, 2:], other[:, 2:]) - outer_low).prod(1)
    iou = shared / union.clamp(min=1e-6)
    return iou, iou - (outer - union) / outer.clamp(min=1e-6)


def loss(raw: Tensor, signs: list[Tensor], grid: Tensor) -> Tensor:
    """Give the loss of a batch, per cell that answers for a sign.

    Args:
        raw: the detector's answer, [N, cells, 5 + labels].
        signs: the boxes of each picture.
        grid: what `cells` gives.
    """
    owners = torch.stack([assigned(boxes, grid) for boxes in signs])
    positive = owners >= 0
    count = positive.sum().clamp(min=1)
    objectness = binary_cross_entropy_with_logits(raw[..., 4], positive.float(), reduction="sum")
    if not positive.any():
        return objectness / count
    wanted = torch.cat([b[o[o >= 0]] for b, o in zip(signs, owners, strict=True)])
    iou, generalised = overlap(decoded(raw, grid)[positive], wanted[:, :4])
    labels = raw.shape[2] - 5
    target = one_hot(wanted[:, 4].long(), labels) * iou.detach()[:, None].clamp(min=0)
    naming = binary_cross_entropy_with_logits(raw[positive][:, 5:], target, reduction="sum")
    placing = (1 - generalised).sum()
    total: Tensor = (objectness + naming + 5 * placing) / count
    return total
