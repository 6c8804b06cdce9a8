"""What an application may import: these names, and no module besides the package."""

from __future__ import annotations

import pkgutil

import litellm_spend

# A module without a leading underscore is an interface that has to be kept. Add one here only on purpose.
PUBLIC_MODULES = ["testing"]


def test_only_these_modules_of_the_package_are_public() -> None:
    modules = [module.name for module in pkgutil.iter_modules(litellm_spend.__path__)]
    assert len(modules) > 6
    assert [name for name in modules if not name.startswith("_")] == PUBLIC_MODULES


def test_the_package_offers_these_names() -> None:
    assert litellm_spend.__all__ == ["PrismaProxyLogger", "SpendLogger", "handler", "spend_record"]
