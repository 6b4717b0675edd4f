"""Writes the machine's trusted certificates in the format that a Java runtime reads.

Debian builds that file in an installation script, which nothing runs here; without it every TLS
connection of Bazel's own (a remote cache, a download) fails. The source is the machine's own
bundle, so certificates that a company has added are trusted by Bazel too.

The format is JKS, version 2: a header, one entry a certificate, and a digest over all of it.
"""

import base64
import hashlib
import re
import struct
from pathlib import Path

BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
"""Where Debian and its relatives keep the machine's trusted certificates."""

STORE = Path("etc/ssl/certs/java/cacerts")
"""Where Debian's Java runtime looks, within the tree it came in."""

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)
_MAGIC, _VERSION, _TRUSTED_CERTIFICATE = 0xFEEDFEED, 2, 2
_PASSWORD = "changeit"  # Java's well-known default; the digest guards against damage, not attack
_SALT = b"Mighty Aphrodite"


def java_key_store(bundle: str) -> bytes:
    """Converts PEM certificates, in their order, into a JKS key store."""
    certificates = [base64.b64decode(text) for text in _PEM.findall(bundle)]
    body = struct.pack(">III", _MAGIC, _VERSION, len(certificates))
    for number, certificate in enumerate(certificates):
        body += struct.pack(">I", _TRUSTED_CERTIFICATE)
        body += _text(f"certificate-{number}")
        body += struct.pack(">Q", 0)  # when it was added
        body += _text("X.509")
        body += struct.pack(">I", len(certificate)) + certificate
    return body + hashlib.sha1(_PASSWORD.encode("utf-16-be") + _SALT + body).digest()


def _text(value: str) -> bytes:
    encoded = value.encode()
    return struct.pack(">H", len(encoded)) + encoded


def write_store(tree: Path, bundle: Path = BUNDLE) -> bool:
    """Writes the store into the tree, if the machine has a bundle at all."""
    if not bundle.is_file():
        return False
    store = tree / STORE
    store.parent.mkdir(parents=True, exist_ok=True)
    store.write_bytes(java_key_store(bundle.read_text(encoding="utf-8", errors="replace")))
    return True
