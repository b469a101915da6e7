"""A registry with known versions, and ways to damage one."""

from pathlib import Path

import msgspec
import numpy as np

from recommender.storage.registry import Artifact, Registry, VersionMeta
from recommender.storage.registry.manifest import NAME, read_manifest, write_manifest
from recommender.storage.registry.safetensors_file import specs_of, write_arrays

PARTS = ("snapshot", "train_state")


def artifact(seed: int = 0, **meta) -> Artifact:
    random = np.random.default_rng(seed)
    return Artifact(
        {
            "snapshot": {
                "item_embeddings": random.normal(size=(5, 4)).astype(np.float32),
                "offsets": np.arange(6),
                "empty": np.zeros((0, 4), np.float32),
            },
            "train_state": {"momentum": random.normal(size=(3, 2))},
        },
        VersionMeta(log_offset=seed, **meta),
    )


def registry_with(folder: Path, *statuses: str) -> Registry:
    """Registry with a version of each status, oldest first; a version's log_offset is its number."""
    registry = Registry(folder)
    for number, status in enumerate(statuses, 1):
        registry.publish(artifact(number), parent=f"{number - 1:08d}" if number > 1 else None, status=status)
    return registry


def names(registry: Registry) -> list[str]:
    return [info.version for info in registry.versions()]


def is_like(loaded: Artifact, published: Artifact) -> bool:
    return (
        all(
            np.array_equal(array, published.parts[part][name])
            for part, arrays in loaded.parts.items()
            for name, array in arrays.items()
        )
        and loaded.meta == published.meta
    )


def resealed(folder: Path, **changes) -> None:
    """Change a manifest the way its writer would have written it."""
    manifest = read_manifest(folder)
    (folder / NAME).unlink()
    write_manifest(folder, msgspec.structs.replace(manifest, **changes))


def rewritten(folder: Path, part: str, arrays, *, with_specs: bool) -> None:
    """Change a part the way its writer would have written it, with or without its dtypes and shapes."""
    manifest = read_manifest(folder)
    path = folder / f"{part}.safetensors"
    path.unlink()
    entry = write_arrays(path, arrays)
    files = tuple(entry if each.name == entry.name else each for each in manifest.files)
    specs = {**manifest.arrays, part: specs_of(arrays)} if with_specs else manifest.arrays
    resealed(folder, files=files, arrays=specs)
