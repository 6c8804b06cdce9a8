"""The build backend: setuptools, or on a Python before 3.10 only what lets pip refuse in one sentence.

The setuptools that pyproject.toml pins does not install on those Pythons, and pip would then print its whole list of
releases. So pyproject.toml asks for no setuptools there, and this module tells pip which Python is needed. It runs on
those Pythons too.
"""

import os
import sys

if sys.version_info >= (3, 10):  # noqa: UP036
    from setuptools.build_meta import *  # noqa: F403
else:
    NEEDED = ">=3.10"

    def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
        """Writes what pip reads before it builds. pip compares `Requires-Python` and ends with a sentence."""
        name = "litellm_spend-0.dist-info"
        os.mkdir(os.path.join(metadata_directory, name))
        with open(os.path.join(metadata_directory, name, "METADATA"), "w") as file:
            file.write(f"Metadata-Version: 2.1\nName: litellm_spend\nVersion: 0\nRequires-Python: {NEEDED}\n")
        return name

    def build_wheel(*arguments, **named):
        """Refuses, for tools that build without a look at the metadata."""
        sys.exit(f"litellm_spend needs Python {NEEDED}. This is Python {sys.version.split()[0]}: use a newer one.")

    prepare_metadata_for_build_editable = prepare_metadata_for_build_wheel
    build_editable = build_sdist = build_wheel
