"""The network behind `intents`: MiniLM's word pieces, frozen, under two small attention layers."""

import torch
from torch import Tensor, nn
from torch.nn import functional

_HEADS = 4
_SHUT = -1e4
"""What is added to the score of a place that must get no attention."""


class Block(nn.Module):
    """One layer: neighbours by a convolution, the whole by attention, then each place alone."""

    def __init__(self, size: int, dropout: float) -> None:
        super().__init__()
        self.near = nn.Conv1d(size, size, 3, padding=1, groups=size)
        self.before_attention, self.before_hidden = nn.LayerNorm(size), nn.LayerNorm(size)
        self.queries_keys_values = nn.Linear(size, 3 * size)
        self.attended = nn.Linear(size, size)
        self.hidden, self.out = nn.Linear(size, 2 * size), nn.Linear(2 * size, size)
        self.dropout = nn.Dropout(dropout)

    def forward(self, places: Tensor, mask: Tensor) -> Tensor:
        """Transform float [N, L, D]; `mask` is float [N, L, 1]: what is masked has no effect."""
        count, length, size = places.shape
        places = places + self.near((places * mask).transpose(1, 2)).transpose(1, 2)
        parts = self.queries_keys_values(self.before_attention(places))
        parts = parts.view(count, length, 3, _HEADS, size // _HEADS).permute(2, 0, 3, 1, 4)
        scores = parts[0] @ parts[1].transpose(-1, -2) / (size // _HEADS) ** 0.5
        weights = (scores + (1 - mask[:, None, None, :, 0]) * _SHUT).softmax(-1)
        mixed = (weights @ parts[2]).transpose(1, 2).reshape(count, length, size)
        places = places + self.dropout(self.attended(mixed))
        hidden = functional.gelu(self.hidden(self.before_hidden(places)))
        return places + self.dropout(self.out(hidden))


class IntentNetwork(nn.Module):
    """Token ids to logits, by way of a sentence vector that imitates MiniLM's.

    Args:
        table: int8 [V, E], the word pieces' vectors; not trained.
        scales: float32 [V, 1], what one step of each row is worth.
        labels: number of intents.
        size: width of the layers.
        dropout: share of activations dropped while training.
    """

    def __init__(
        self, table: Tensor, scales: Tensor, labels: int, size: int = 128, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.register_buffer("table", table)
        self.register_buffer("scales", scales)
        self.dropout = nn.Dropout(dropout)
        self.narrow = nn.Linear(table.shape[1], size)
        self.blocks = nn.ModuleList(Block(size, dropout) for _ in range(2))
        self.norm = nn.LayerNorm(size)
        self.importance = nn.Linear(size, 1)
        self.imitation = nn.Linear(size, 384)
        self.head = nn.Linear(384, labels)

    def sentence(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return the sentence vectors, float32 [N, 384], of length 1."""
        shown = mask.to(torch.float32)[..., None]
        rows = self.table[ids].to(torch.float32) * self.scales[ids]
        places = self.narrow(self.dropout(rows))
        for block in self.blocks:
            places = block(places, shown)
        places = self.norm(places)
        weights = (self.importance(places) + (1 - shown) * _SHUT).softmax(1)
        return functional.normalize(self.imitation((weights * places).sum(1)), dim=1)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return logits, float32 [N, labels]."""
        logits: Tensor = self.head(self.sentence(ids, mask) * 8)
        return logits
