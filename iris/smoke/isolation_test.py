"""What the probes answer where the answer is known. (What they find in the sandbox: //tests/hermetic.)"""

from pathlib import Path

from iris.smoke.isolation import interfaces, readable_entries, route_error


def test_loopback_is_always_there_and_always_reached() -> None:
    assert "lo" in interfaces()
    assert route_error("127.0.0.1") == ""


def test_an_address_that_nobody_can_have_has_no_route() -> None:
    assert route_error("255.255.255.255") != ""  # broadcast, for which a socket has to ask


def test_only_what_holds_something_counts_as_readable(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "hidden").mkdir()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "notes").write_text("x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "empty").touch()
    assert readable_entries(tmp_path) == ("folder", "notes")


def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert readable_entries(tmp_path / "nowhere") == ()
