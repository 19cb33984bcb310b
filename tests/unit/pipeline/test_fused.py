"""The demo's models of pictures with what is in front of them on their device, and without."""

from pathlib import Path

import numpy as np
import pytest

import streamer
from streamer.config.topology import ModelRef
from streamer.models import load_version
from streamer.pipeline.loaded import ModelVersion
from streamer.pipeline.verify import made_up_samples, verify, warm
from streamer.records import Image

MODELS = Path(streamer.__file__).parent / "demo" / "models"


def loaded(name, **options):
    version = load_version(name, beside=MODELS, models_dir=MODELS)
    ref = ModelRef(uri=name, device="cpu", sessions=1, batch={"max_cost": 10**6}, **options)
    return ModelVersion(version, ref)


@pytest.mark.parametrize("name", ["signs", "sign-kind"])
def test_a_fused_model_answers_as_the_plain_one(name):
    plain, fused = loaded(name, fuse=False), loaded(name, fuse=True)
    rng = np.random.default_rng(0)
    samples = [*made_up_samples(plain), Image(rng.integers(0, 256, (200, 300, 3), np.uint8))]
    batches = []
    for model in (plain, fused):
        parts = [part for [part] in model.preprocessor.prepare(samples)]
        batches.append((model.preprocessor.collate(parts), model.run(model.sessions[0], parts)))
    (floats, wanted), (pixels, found) = batches
    assert sum(a.nbytes for a in floats.values()) == 4 * sum(a.nbytes for a in pixels.values())
    for output, values in found.items():
        scale = max(1.0, float(np.abs(wanted[output]).max()))
        np.testing.assert_allclose(values, wanted[output], rtol=0, atol=1e-4 * scale)
    verify(fused)
    warm(fused)
    plain.close()
    fused.close()
