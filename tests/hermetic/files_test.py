"""A test writes into its own folders only, and finds nothing of the caller's home folder."""

import errno
import os
import pwd
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from iris.smoke.isolation import LINUX_SANDBOX, readable_entries, seen_sandbox

needs_linux_sandbox = pytest.mark.skipif(
    seen_sandbox() != LINUX_SANDBOX,
    reason=f"only linux-sandbox has mounts of its own; this is {seen_sandbox() or 'none'}",
)

OWN = [os.environ["TEST_TMPDIR"], "/tmp", "/dev/shm", os.environ["TEST_UNDECLARED_OUTPUTS_DIR"]]
OTHERS = ["/", "/etc", "/usr", "/usr/lib", "/var/tmp", "/run", "/opt", "/dev", "/sys", "/home"]
REFUSALS = {errno.EROFS, errno.EACCES, errno.EPERM}

HOME = Path(pwd.getpwuid(os.getuid()).pw_dir)
SOURCE = Path(os.path.realpath(__file__))
# Of the home folder a build may see what it consists of, wherever a person has put that.
PARTS_OF_THE_BUILD = [
    Path.cwd(),
    SOURCE,
    Path(os.path.realpath(sys.executable)),
    Path(os.fsdecode(Path("/proc/1/cmdline").read_bytes().partition(b"\0")[0])),
]


def make_a_file(folder: str | Path) -> None:
    Path(folder).mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=folder)
    os.close(descriptor)
    os.unlink(name)


@pytest.mark.parametrize("folder", OWN)
def test_its_own_folders_can_be_written(folder: str) -> None:
    """The control for those that cannot."""
    make_a_file(folder)


@needs_linux_sandbox
@pytest.mark.parametrize("folder", [one for one in [*OTHERS, str(HOME)] if Path(one).is_dir()])
def test_no_other_folder_can_be_written(folder: str) -> None:
    with pytest.raises(OSError) as refused:
        make_a_file(folder)
    assert refused.value.errno in REFUSALS


@needs_linux_sandbox
def test_its_own_source_cannot_be_changed() -> None:
    with pytest.raises(OSError) as refused, SOURCE.open("r+"):
        pass
    assert refused.value.errno in REFUSALS
    with pytest.raises(OSError):
        make_a_file(SOURCE.parent)


@needs_linux_sandbox
@pytest.mark.parametrize("folder", ["/tmp", "/dev/shm"])
def test_folders_of_everybody_are_its_own(folder: str) -> None:
    """Nothing lies there but what is mounted there (a workspace below /tmp is), and the way to it."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    assert folder in mounts
    found = list(Path(folder).iterdir())
    assert [
        path for path in found if not any(Path(one).is_relative_to(path) for one in mounts)
    ] == []


def test_home_is_not_set_or_a_folder_of_the_test() -> None:
    home = os.environ.get("HOME")
    assert home is None or Path(home).is_relative_to(os.environ["TEST_TMPDIR"])


def is_part_of_the_build(entry: Path) -> bool:
    if any(part.is_relative_to(entry) for part in PARTS_OF_THE_BUILD):
        return True
    # A second Python on PATH, which the build could have taken.
    return any(any(entry.glob(f"{folder}/python3*")) for folder in ("bin", "shims", "*/bin"))


@needs_linux_sandbox
def test_nothing_of_the_home_folder_can_be_read() -> None:
    found = [name for name in readable_entries(HOME) if not is_part_of_the_build(HOME / name)]
    assert found == [], f"{HOME} is visible in the sandbox: run the tests through ./bazelw"


@needs_linux_sandbox
@pytest.mark.parametrize("name", [".netrc", ".gitconfig", ".ssh/config", ".config/pip/pip.conf"])
def test_what_programs_read_there_by_themselves_is_empty(name: str) -> None:
    try:
        assert (HOME / name).read_bytes() == b""
    except OSError as error:
        assert error.errno in {errno.ENOENT, errno.ENOTDIR, *REFUSALS}


@needs_linux_sandbox
def test_nor_can_a_child_process_read_it() -> None:
    script = (
        "import os, pwd; print(sorted(os.listdir(pwd.getpwuid(os.getuid()).pw_dir + '/.config')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() in ("", "[]")
