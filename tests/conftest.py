"""The quick tests first, so that a mistake shows before any manager is booted."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.parent.name == "e2e")
