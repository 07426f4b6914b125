"""Triplets, and runs that begin to train on them."""

import pytest


@pytest.fixture(scope="session")
def table(tmp_path_factory):
    from tests.training_run import write_triplets

    return write_triplets(tmp_path_factory.mktemp("triplets"))


@pytest.fixture
def begin(tmp_path, tiny_models, table):
    """Make the train step of a run in a folder of that name."""
    from tests.training_run import make_step, write_config

    def make(name="run", family="sd15", **options):
        config = write_config(
            tmp_path / f"{name}.yaml", table, family=family, model_path=tiny_models[family], **options
        )
        return make_step(config, tmp_path / name)

    return make
