"""Write JSON schemas for kubeconform: `python helm/schemas.py FOLDER SWAGGER CRD_FOLDER…`.

An object's schema stands alone in a file `kind-group-version.json`; unknown keys are refused.
"""
# ruff: noqa: INP001 - a script beside the chart, not a package

import json
import sys
from pathlib import Path
from typing import Any

import yaml

_FREE = "x-kubernetes-preserve-unknown-fields"
_INT_OR_STRING = {"anyOf": [{"type": "integer"}, {"type": "string"}]}
_AS_TEXT_OR_NUMBER = {
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
    "io.k8s.apimachinery.pkg.api.resource.Quantity",
}


def written(folder: Path, swagger: Path, crds: list[Path]) -> int:
    """Write the schemas of all kinds; give their number."""
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    definitions = json.loads(swagger.read_text(encoding="utf-8"))["definitions"]
    for definition in definitions.values():
        for kind in definition.get("x-kubernetes-group-version-kind", []):
            schema = _strict(definition, definitions, ())
            _write(folder, kind["kind"], kind["group"], kind["version"], schema)
            count += 1
    metadata = _strict(
        definitions["io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"], definitions, ()
    )
    for file in (file for crd in crds for file in sorted(crd.glob("*.yaml"))):
        for document in yaml.safe_load_all(file.read_text(encoding="utf-8")):
            for version in document["spec"]["versions"]:
                schema = _strict(version["schema"]["openAPIV3Schema"], {}, ())
                schema["properties"]["metadata"] = metadata
                names = document["spec"]["names"]
                _write(folder, names["kind"], document["spec"]["group"], version["name"], schema)
                count += 1
    return count


def _write(folder: Path, kind: str, group: str, version: str, schema: Any) -> None:
    parts = [kind, *([group.partition(".")[0]] if group else []), version]
    (folder / f"{'-'.join(parts).lower()}.json").write_text(json.dumps(schema), encoding="utf-8")


def _strict(node: Any, definitions: dict[str, Any], above: tuple[str, ...]) -> Any:
    """Put definitions where they are referred to, and refuse what they don't name."""
    if isinstance(node, list):
        return [_strict(part, definitions, above) for part in node]
    if not isinstance(node, dict):
        return node
    if isinstance(node.get("$ref"), str):
        name = node["$ref"].rpartition("/")[2]
        if name in _AS_TEXT_OR_NUMBER:
            return {"type": ["string", "number"]}
        # A schema that holds itself (JSONSchemaProps) is let pass from the second time on.
        return {} if name in above else _strict(definitions[name], definitions, (*above, name))
    made = {key: _strict(part, definitions, above) for key, part in node.items()}
    if made.pop("x-kubernetes-int-or-string", False):
        made |= _INT_OR_STRING
        made.pop("type", None)
    if "properties" in made and "additionalProperties" not in made and not made.get(_FREE):
        made["additionalProperties"] = False
    return made


if __name__ == "__main__":
    target, swagger, *crds = map(Path, sys.argv[1:])
    sys.stdout.write(f"{written(target, swagger, crds)} schemas in {target}\n")
