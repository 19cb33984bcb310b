"""What each command's help ends with: it in use, and what a newcomer asks next."""

from collections.abc import Sequence

COMMANDS: dict[str, Sequence[str]] = {
    "demo": ("streamer demo", "streamer demo --once"),
    "broker": ("streamer broker", "streamer broker --port 19092 --data-dir kafka-data"),
    "run": (
        "streamer run support.yaml",
        "streamer run street.yaml support.yaml --config settings.yaml",
        "streamer run support.yaml --processes 4",
    ),
    "check": ("streamer check support.yaml", "streamer check support.yaml --connect"),
    "send": (
        "streamer send support.messages messages.txt --create",
        "streamer send street.photos photos/ --key {name} --rate 50",
        "streamer send support.messages tickets.jsonl --key {customer} --header lang=en",
    ),
    "tail": (
        "streamer tail support.intents",
        "streamer tail street.signs --draw pictures/ --limit 20",
        "streamer tail support.intents --json --from-beginning --timeout 5s",
    ),
    "spec": (
        "streamer spec support.yaml",
        "streamer spec support.yaml --json-schema",
        "streamer spec --topology-schema",
    ),
    "compare": (
        "streamer compare support.yaml --model intents=4 --from 2h",
        "streamer compare support.yaml --model intents=4 --from 1d --against published",
    ),
    "bench": ("streamer bench support.yaml", "streamer bench support.yaml --input messages.txt"),
    "plan": (
        "streamer plan support.yaml --rate 5000",
        "streamer plan support.yaml --rate 5000 --bench bench.json --partitions 12",
    ),
    "retrain": (
        "streamer retrain retrain.yaml",
        "streamer retrain retrain.yaml --now --once",
        "streamer retrain --schema",
    ),
    "dashboard": (
        "streamer dashboard",
        "streamer dashboard http://worker-1:8080 http://worker-2:8080",
        "streamer dashboard dns+http://workers:8080 --host 0.0.0.0",
    ),
    "top": ("streamer top", "streamer top http://worker-1:8080 --once"),
}
MODELS: dict[str, Sequence[str]] = {
    "list": ("streamer models list",),
    "show": ("streamer models show registry:intents", "streamer models show ./my-model"),
    "try": (
        "streamer models try ./my-model messages.txt",
        "streamer models try hf:ORG/REPO@COMMIT photo.jpg --draw pictures/",
        "streamer models try model.onnx photo.jpg --task image-classification",
    ),
    "add": (
        "streamer models add ./my-model --name intents --golden messages.txt",
        "streamer models add hf:ORG/REPO@COMMIT --name signs",
    ),
    "export": ("streamer models export ./my-model --to my-model-onnx",),
    "quantize": ("streamer models quantize ./my-model --to my-model-int8 --data messages.jsonl",),
    "promote": (
        "streamer models promote intents 4 --wait",
        "streamer models promote intents 4 --if-version 3 --reason better",
    ),
    "rollout": (
        "streamer models rollout intents 4 --share 10% --wait",
        "streamer models rollout intents 4 --mode shadow --share 100% --rules rules.yaml",
    ),
    "rollback": ("streamer models rollback intents --wait",),
    "history": ("streamer models history", "streamer models history intents --json"),
}
DEADLETTERS: dict[str, Sequence[str]] = {
    "list": (
        "streamer deadletters list support.deadletters",
        "streamer deadletters list support.deadletters --reason invalid-utf8 --since 2h",
    ),
    "show": (
        "streamer deadletters show support.deadletters/0/17",
        "streamer deadletters show support.deadletters/0/17 --raw",
    ),
    "replay": (
        "streamer deadletters replay support.deadletters --dry-run",
        "streamer deadletters replay support.deadletters --stage infer",
    ),
}
FIRST = """See it all: streamer demo

Your own: streamer models try MODEL FILE; write a topology file; streamer check FILE --connect;
streamer run FILE; streamer tail TOPIC

Where Kafka is: STREAMER_KAFKA__BOOTSTRAP_SERVERS=host:9092 (127.0.0.1:9092 if left out). Every
setting has such a variable; commands take a file of them with --config.

Exit codes: 0 done, 2 usage or configuration, 1 anything else."""


def shown(examples: Sequence[str]) -> str:
    """Write a command's examples for the end of its help."""
    return "\n".join(("Example:" if len(examples) == 1 else "Examples:", *examples))
