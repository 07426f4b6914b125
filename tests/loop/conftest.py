"""The log is heard at the level of a worker's."""

import logging

import pytest


@pytest.fixture(autouse=True)
def _logs(caplog):
    caplog.set_level(logging.INFO)
