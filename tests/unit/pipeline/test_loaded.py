import onnx
import pytest
from support import tiny, versions

from streamer.config.settings import ModelSettings
from streamer.config.topology import ModelRef
from streamer.pipeline.model import Models
from streamer.records import Text


def test_a_graph_of_one_length_is_fed_as_its_tokenizer_pads(tmp_path):
    """Filled up with zeros, a model that asks where the padding begins would look behind it."""
    folder = tiny.text_model(tmp_path)
    graph = onnx.load(folder / "model.onnx")
    graph.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 40  # texts are 32 at the most
    onnx.save(graph, folder / "model.onnx")
    models = Models(ModelSettings(dir=tmp_path))
    version = models.open(ModelRef(uri=str(folder), device="cpu"), tmp_path).champion
    try:
        [[short], [long]] = version.preprocessor.prepare([Text("good"), Text("bad fine " * 30)])
        batch = version.preprocessor.collate([short, long])["input_ids"]
        padding = tiny.WORDS.index("[PAD]")
        assert padding != 0
        assert batch.shape == (2, 40)
        assert batch[0].tolist() == [tiny.WORDS.index("good")] + [padding] * 39
        assert set(batch[1, 32:]) == {padding}
        assert padding not in batch[1, :32]
    finally:
        models.close()


@pytest.mark.parametrize("pinned_first", [True, False])
def test_a_version_that_is_named_is_not_swapped_with_the_one_that_follows(tmp_path, pinned_first):
    for number in ("1", "2"):
        versions.version(tmp_path, "mood", number)
    models = Models(ModelSettings(dir=tmp_path, registry=str(tmp_path)))
    models.deployed["mood"] = "1"
    names = ["registry:mood@1", "registry:mood"]
    refs = [ModelRef(uri=uri, device="cpu", sessions=1) for uri in names]
    opened = [models.open(ref, tmp_path) for ref in (refs if pinned_first else refs[::-1])]
    try:
        assert [model.registered for model in opened] == (
            [None, "mood"] if pinned_first else ["mood", None]
        )
        assert models.following("mood") == [opened[1 if pinned_first else 0]]
    finally:
        models.close()
