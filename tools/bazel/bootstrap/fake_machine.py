"""A machine for tests: its PATH holds what the test put there, its HOME is empty, it has no network.

Programs are real ones of this machine (bash, coreutils), small shell scripts, or, for apt and dpkg,
fake_debian.py with an archive of a few tiny packages that has the layout of the real one.
"""

import io
import shlex
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

_REAL_TOOLS = (
    *("bash", "cat", "chmod", "cp", "date", "env", "mkdir", "mktemp", "mv", "readlink"),
    *("rm", "sh", "timeout", "touch"),
)
_DEBIAN_TOOLS = ("apt-cache", "apt-config", "apt-get", "dpkg", "dpkg-deb")
_HERE = Path(__file__).parent
_BAZELW = _HERE.parents[2] / "bazelw"

LOADER = "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"

PROCESS_SECONDS = 20.0
"""Bounds every wait of a test; far more than any needs."""

_DEBIAN_BAZEL = """\
#!/bin/sh
for argument; do
  if [ "$argument" = version ]; then echo "Build label: 7.7.1"; exit 0; fi
done
echo "debian $* | caller=$IRIS_CALLER_DIRECTORY | directory=$PWD | locale=${LC_ALL:-$LANG}"
"""


class FakeMachine:
    """One machine, below a folder of the test's. Used by one thread."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        self.home = folder / "home"
        self.workspace = folder / "workspace"
        self.debian = folder / "debian"
        self.apt_folder = folder / "apt"
        self.keyring = folder / "debian-archive-keyring.gpg"
        self.cache = self.home / ".cache" / "iris" / "bazel"
        for part in (self.bin, self.home, self.workspace, self.debian):
            part.mkdir(parents=True)
        for tool in _REAL_TOOLS:
            if found := shutil.which(tool):
                (self.bin / tool).symlink_to(found)
        shutil.copy(_BAZELW, self.workspace / "bazelw")
        (self.workspace / ".bazelversion").write_text("7.7.1\n")

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": str(self.bin),
            "HOME": str(self.home),
            # What is in the way of tests about other things; bazelw_home_test takes it out.
            "IRIS_SANDBOX_HOME": "shown",
            "FAKE_DEBIAN": str(self.debian),
        }

    def add_program(self, name: str, body: str) -> Path:
        """Puts a shell script on PATH."""
        path = self.bin / name
        path.write_text(f"#!{self.bin}/bash\n{body}\n")
        path.chmod(0o755)
        return path

    def add_python(self) -> None:
        """Puts the Python that runs this test on PATH, as `python3`, and the bootstrap beside it.

        The bootstrap is given this machine's apt folder and keyring in the place of the real ones.
        """
        flags = shlex.join([f"--apt_folder={self.apt_folder}", f"--keyring={self.keyring}"])
        self.add_program(
            "python3",
            f'[[ " $* " != *" -m "* ]] || set -- "$@" {flags}\n'
            f'exec {shlex.quote(sys.executable)} "$@"',
        )
        package = self.workspace / "tools/bazel/bootstrap"
        package.mkdir(parents=True)
        for source in _HERE.glob("*.py"):
            shutil.copy(source, package)

    def add_debian(self, *, offers: dict[str, str]) -> None:
        """Makes it a Debian machine whose mirror has, by suite, these versions of Bazel."""
        program = shlex.join([sys.executable, "-I", "-S", str(_HERE / "fake_debian.py")])
        for tool in _DEBIAN_TOOLS:
            self.add_program(tool, f'exec {program} {tool} "$@"')
        self.apt_folder.mkdir()
        (self.apt_folder / "sources.list").write_text("deb http://mirror.example/debian old main\n")
        self.keyring.touch()
        (self.debian / "machine.conf").write_text('Acquire::http::Proxy "http://proxy.example";\n')
        for suite, version in offers.items():
            (self.debian / f"candidate-{suite}").write_text(version)
        self._fill_archive(self.debian / "archive")

    def bazelw(
        self, *arguments: str, directory: Path | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Runs the wrapper to its end."""
        return subprocess.run(
            [self.bin / "bash", self.workspace / "bazelw", *arguments],
            capture_output=True,
            text=True,
            cwd=directory or self.workspace,
            env={**self.environment, **environment},
            timeout=PROCESS_SECONDS,
            check=False,
        )

    def calls(self, start: str) -> list[str]:
        """What apt and dpkg were asked to do, as far as it starts with `start`."""
        path = self.debian / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line for line in lines if line.startswith(start)]

    def forget(self) -> None:
        """Forgets the calls so far."""
        (self.debian / "calls").unlink(missing_ok=True)

    def _fill_archive(self, archive: Path) -> None:
        archive.mkdir()
        share = "usr/share/bazel"
        _package(
            archive / "bazel-bootstrap_7.7.1+ds-8_amd64.deb",
            {
                "usr/bin/bazel": _DEBIAN_BAZEL,
                "usr/libexec/x86_64-linux-gnu/bazel/linux-sandbox": "",
                "usr/lib/x86_64-linux-gnu/bazel/libcpu_profiler.so": "",
                f"{share}/build-label.txt": "7.7.1\n",
                f"{share}/bazel_classpath_debian_depends.txt": "/usr/share/java/guava.jar\n",
            },
        )
        _package(
            archive / "libguava-java_33_all.deb",
            {"usr/share/java/guava.jar": _empty_jar()},
        )
        java = "usr/lib/jvm/java-25-openjdk-amd64"
        _package(
            archive / "openjdk-25-jre-headless_25_amd64.deb",
            {
                f"{java}/bin/java": "",
                f"{java}/lib/jspawnhelper": "",
                f"{java}/lib/libjli.so": "",
            },
        )
        _package(archive / "openjdk-25-jdk-headless_25_amd64.deb", {"usr/bin/javac": ""})
        _package(archive / "libc6-dev_2.43_amd64.deb", {"usr/include/stdio.h": ""})
        _package(archive / "libc6_2.43_amd64.deb", {LOADER: "#!/bin/sh\n"})
        _package(archive / "patchelf_0.18_amd64.deb", {"usr/bin/patchelf": ""})


def _package(path: Path, files: dict[str, str | bytes]) -> None:
    with tarfile.open(path, "w") as package:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(name)
            member.size = len(data)
            member.mode = 0o755
            package.addfile(member, io.BytesIO(data))


def _empty_jar() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as jar:
        jar.writestr("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\r\n")
    return stream.getvalue()
