"""Samples to what a model is fed with: resize rules, tokenisation, batches put together."""

from streamer.preprocess.preprocessor import Kind, Preprocessor, preprocessor_for

__all__ = ["Kind", "Preprocessor", "preprocessor_for"]
