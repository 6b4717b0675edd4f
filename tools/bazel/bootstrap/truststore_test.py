"""Tests of writing trusted certificates for a Java runtime."""

import base64
import hashlib
import struct
from pathlib import Path

from tools.bazel.bootstrap.truststore import STORE, java_key_store, write_store


def _pem(content: bytes) -> str:
    body = base64.encodebytes(content).decode()
    return f"-----BEGIN CERTIFICATE-----\n{body}-----END CERTIFICATE-----\n"


def _read_entries(store: bytes) -> dict[str, bytes]:
    """Reads a store as the format's specification says, independently of the writer."""
    magic, version, count = struct.unpack_from(">III", store)
    assert (magic, version) == (0xFEEDFEED, 2)
    position = 12
    entries = {}
    for _ in range(count):
        tag, name_size = struct.unpack_from(">IH", store, position)
        assert tag == 2
        position += 6
        name = store[position : position + name_size].decode()
        position += name_size + 8
        (kind_size,) = struct.unpack_from(">H", store, position)
        position += 2
        assert store[position : position + kind_size] == b"X.509"
        position += kind_size
        (size,) = struct.unpack_from(">I", store, position)
        position += 4
        entries[name] = store[position : position + size]
        position += size
    digest = hashlib.sha1("changeit".encode("utf-16-be") + b"Mighty Aphrodite" + store[:position])
    assert store[position:] == digest.digest()
    return entries


def test_every_certificate_of_the_bundle_is_an_entry() -> None:
    certificates = [b"first" * 40, b"second" * 50]
    bundle = "# a comment\n" + "".join(_pem(certificate) for certificate in certificates)

    entries = _read_entries(java_key_store(bundle))

    assert list(entries.values()) == certificates
    assert len(entries) == 2


def test_a_bundle_without_certificates_is_an_empty_store() -> None:
    assert _read_entries(java_key_store("")) == {}


def test_store_is_written_where_the_runtime_looks(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.crt"
    bundle.write_text(_pem(b"only"))

    assert write_store(tmp_path / "tree", bundle)

    store = (tmp_path / "tree" / STORE).read_bytes()
    assert list(_read_entries(store).values()) == [b"only"]


def test_a_machine_without_a_bundle_gets_no_store(tmp_path: Path) -> None:
    assert not write_store(tmp_path / "tree", tmp_path / "missing.crt")
    assert not (tmp_path / "tree").exists()
