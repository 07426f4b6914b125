"""The servers that a step asks: their keys, and whether they answer."""

import os
from collections.abc import Iterator

from shared.doctor.finding import Finding, fail, ok
from shared.errors import RunError
from shared.forecast import Model


def check_server(label: str, model: Model) -> Iterator[Finding]:
    """Ask it what the run would ask first. No question is put to the model, and no key is ever printed."""
    if model.key_variable:
        variable = model.key_variable
        if not os.environ.get(variable):
            yield fail(f"{label}: {variable} is not set; the server at {model.url} needs a key: export {variable}=...")
            return
        yield ok(f"{label}: {variable} is set")
    try:
        from shared.captions.engines.server import Server

        server = Server(model.url, model.name, key_variable=model.key_variable, num_workers=1)
        try:
            server.setup()
            yield ok(f"{label}: the server at {model.url} answers and has {server.model}")
        finally:
            server.close()
    except RunError as error:
        yield fail(f"{label}: {error}")
    except ImportError as error:
        yield fail(f"{label}: the server at {model.url} cannot be asked: {error.name or error} is not installed")
