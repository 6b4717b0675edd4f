"""Wheels and lock files made by hand, so that an environment can be built without any index."""

import base64
import hashlib
import zipfile
from pathlib import Path


def add_wheel(
    folder: Path, name: str, version: str = "1.0", *, says: str = "", requires: str = ""
) -> str:
    """Writes a wheel with one module, in which `SAYS` is the text, and a program of the wheel's
    name that prints it. Returns the line of a requirements file that pins it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    about = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"SAYS = {says!r}\n\n\ndef main():\n    print(SAYS)\n",
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        + (f"Requires-Dist: {requires}\n" if requires else ""),
        f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{about}/entry_points.txt": f"[console_scripts]\n{name} = {name}:main\n",
    }
    record = [f"{path},sha256={_record_digest(text)},{len(text)}" for path, text in files.items()]
    files[f"{about}/RECORD"] = "\n".join([*record, f"{about}/RECORD,,", ""])
    with zipfile.ZipFile(path, "w") as archive:
        for inside, text in files.items():
            archive.writestr(zipfile.ZipInfo(inside, (2020, 1, 1, 0, 0, 0)), text)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"{name}=={version} --hash=sha256:{digest}\n"


def uv_lock(folder: Path, wheelhouse: Path, name: str, version: str = "1.0") -> None:
    """Writes the pyproject.toml of a project that needs one wheel, and its uv.lock, as uv would."""
    folder.mkdir(parents=True, exist_ok=True)
    wheel = f"{name}-{version}-py3-none-any.whl"
    digest = hashlib.sha256((wheelhouse / wheel).read_bytes()).hexdigest()
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "project"\nversion = "1"\nrequires-python = ">=3.9"\n'
        f'dependencies = ["{name}=={version}"]\n'
    )
    index = "https://index.invalid/simple"
    (folder / "uv.lock").write_text(
        f'version = 1\nrevision = 3\nrequires-python = ">=3.9"\n\n'
        f'[[package]]\nname = "{name}"\nversion = "{version}"\n'
        f'source = {{ registry = "{index}" }}\n'
        f'wheels = [\n    {{ url = "https://index.invalid/{wheel}", hash = "sha256:{digest}" }},\n]\n\n'
        f'[[package]]\nname = "project"\nversion = "1"\nsource = {{ virtual = "." }}\n'
        f'dependencies = [\n    {{ name = "{name}" }},\n]\n\n'
        f'[package.metadata]\nrequires-dist = [{{ name = "{name}", specifier = "=={version}" }}]\n'
    )


def _record_digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
