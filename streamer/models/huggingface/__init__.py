"""A manifest for a Hugging Face folder: `config.json` and its companions, read."""

from streamer.models.huggingface.folder import from_huggingface

__all__ = ["from_huggingface"]
