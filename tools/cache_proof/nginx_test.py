"""How nginx is found, configured and listened to. (It itself is run by the proof.)"""

from pathlib import Path

import pytest

from iris.model.errors import Unavailable
from tools.cache_proof.nginx import Traffic, configuration, find_nginx, read_traffic, running_nginx


def make_program(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_everything_lies_in_its_folder_and_it_listens_where_it_is_told() -> None:
    text = configuration(Path("/f"), "127.0.0.1:7", None)
    assert "listen 127.0.0.1:7;" in text
    assert "dav_methods PUT;" in text
    assert "user" not in text.split("events")[0]
    paths = [word.rstrip(";") for word in text.split() if word.startswith("/") and word != "/"]
    assert len(paths) == 9
    assert all(path.startswith("/f/") for path in paths)


def test_started_by_root_its_worker_is_root_too() -> None:
    assert "user root root;" in configuration(Path("/f"), "127.0.0.1:7", "root")


def test_traffic_is_counted_by_method_and_answer() -> None:
    text = "GET 404\nPUT 201\nGET 200\nGET 200\nPUT 204\nGET 500\nHEAD 200\n"
    assert read_traffic(text) == Traffic(found=2, missing=1, written=2)


def test_the_one_that_is_named_is_taken(tmp_path: Path) -> None:
    named = make_program(tmp_path / "own")
    assert find_nginx(str(named), tmp_path) == named
    with pytest.raises(Unavailable, match="is no program"):
        find_nginx(str(tmp_path / "other"), tmp_path)


def test_then_the_one_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = make_program(tmp_path / "bin/nginx")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert find_nginx(None, tmp_path) == found


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without nginx; the folder is its PATH."""
    monkeypatch.setattr("tools.cache_proof.nginx._SYSTEM_FOLDERS", "")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path / "bin"


def test_then_the_distributions_package_is_unpacked(bare: Path, tmp_path: Path) -> None:
    make_program(bare / "apt-get", '/bin/echo "$@" >asked; /bin/touch nginx_1.22_amd64.deb')
    unpack = '/bin/mkdir -p "$3/usr/sbin"; p="$3/usr/sbin/nginx"'
    make_program(bare / "dpkg-deb", f"{unpack}; /bin/echo '#!/bin/sh' >$p; /bin/chmod +x $p")
    program = find_nginx(None, tmp_path / "package")
    assert program == tmp_path / "package/unpacked/usr/sbin/nginx"
    assert (tmp_path / "package/asked").read_text().endswith("download nginx\n")


def test_without_a_package_it_says_what_to_install(bare: Path, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"no apt-get.*apt-get install nginx"):
        find_nginx(None, tmp_path / "package")
    make_program(bare / "apt-get", "echo 'E: Unable to locate package nginx' >&2; exit 100")
    make_program(bare / "dpkg-deb")
    with pytest.raises(Unavailable, match=r"Unable to locate.*apt-get update"):
        find_nginx(None, tmp_path / "package")


def test_one_that_ends_at_once_is_no_cache(tmp_path: Path) -> None:
    broken = make_program(tmp_path / "nginx", "echo 'cannot load' >&2; exit 1")
    with (
        pytest.raises(Unavailable, match=r"does not work as a cache.*cannot load"),
        running_nginx(broken, tmp_path / "http"),
    ):
        pass
