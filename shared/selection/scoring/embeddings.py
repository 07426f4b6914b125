"""Embeddings kept for later use: a .npy file a batch, whole or absent, in place before the records that name it."""

import hashlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from shared.images import ImageFile


def embedding_fields(keys: Sequence[str], vectors: np.ndarray) -> list[dict[str, Any]]:
    """What the record of each item says about its embedding: `embedding_path` and `embedding_row`.

    `numpy.load(embedding_path)[embedding_row]` is the item's vector, float16 of unit length. vectors: (n, d), of the
    items with these keys. The file is named by keys and content, so that workers and runs that cut the items otherwise
    never write to the same one. It is written with the record of the first item, before those of the others.
    """
    stream = io.BytesIO()
    np.save(stream, vectors.astype(np.float16), allow_pickle=False)
    data = stream.getvalue()
    name = hashlib.sha256("\0".join(keys).encode("utf-8", "surrogatepass") + data).hexdigest()[:24]
    path = f"embeddings/{name[:2]}/{name}.npy"
    files = {path: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}}
    fields: list[dict[str, Any]] = [
        {"embedding_path": path, "embedding_row": row, "files": files} for row in range(len(keys))
    ]
    fields[0]["embedding_path"] = ImageFile(path, data)
    return fields
