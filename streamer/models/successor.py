"""Whether a version may take the place of another one."""

from streamer.errors import ModelError
from streamer.models.manifest import Manifest


def check_successor(new: Manifest, old: Manifest, *, back: bool = False) -> None:
    """Compare what two versions are for, and their labels.

    Labels may only be added: whoever reads the answers, and every label that was ever given, means
    the old ones by their names and places.

    Args:
        new: the version that is to serve.
        old: the version that serves.
        back: whether the new one served before: it may lack labels that were added since.

    Raises:
        ModelError: the new one answers something else.
    """
    if new.task != old.task:
        raise ModelError(
            f"version {new.version} is for '{new.task}', version {old.version} for '{old.task}'"
        )
    kinds = [{given.kind for given in one.inputs.values()} - {"constant"} for one in (new, old)]
    if kinds[0] != kinds[1]:
        told = [" and ".join(sorted(kind)) for kind in kinds]
        raise ModelError(f"version {new.version} takes {told[0]}, version {old.version} {told[1]}")
    for index, label in old.id2label.items():
        there = new.id2label.get(index)
        if there == label or (there is None and back):
            continue
        what = f"is '{there}' now" if there is not None else "is gone"
        raise ModelError(
            f"wrong labels: label {index} of version {old.version}, '{label}', {what} in version "
            f"{new.version}; a successor may only add labels behind the others"
        )
