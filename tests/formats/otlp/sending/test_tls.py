"""Certificates are checked before anything is sent."""

import pytest

from workbench.errors import DestinationError
from workbench.formats.otlp.sending.settings import Options, resolve
from workbench.formats.otlp.sending.tls import context, pem
from workbench.formats.otlp.signals import SIGNALS


def settle(**files):
    return resolve(SIGNALS["traces"], Options(endpoint="https://c", **files), {})


def test_the_system_is_trusted_by_default():
    assert context(settle()).verify_mode.name == "CERT_REQUIRED"
    assert context(settle()).check_hostname
    root, key, chain = pem(settle())
    assert (key, chain) == (None, None)
    assert root is None or b"BEGIN CERTIFICATE" in root


def test_files_are_used(authority):
    certificate, key = authority.folder / "client.pem", authority.folder / "client.key"
    to = settle(certificate=authority.file, client_certificate=certificate, client_key=key)
    assert [entry["serialNumber"] for entry in context(to).get_ca_certs()]
    assert pem(to) == (authority.file.read_bytes(), key.read_bytes(), certificate.read_bytes())


def test_key_and_certificate_may_be_one_file(authority, tmp_path):
    both = tmp_path / "both.pem"
    parts = [(authority.folder / f"client.{end}").read_bytes() for end in ("key", "pem")]
    both.write_bytes(b"".join(parts))
    assert pem(settle(client_certificate=both))[1:] == (both.read_bytes(), both.read_bytes())


def test_what_cannot_be_used_is_told(authority, stranger, tmp_path):
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing")
    certificate = authority.folder / "client.pem"
    for files in (
        {"certificate": empty},
        {"client_certificate": empty},
        {"client_certificate": certificate},  # without its key
        {"client_certificate": certificate, "client_key": stranger.folder / "client.key"},
    ):
        for make in (context, pem):
            with pytest.raises(DestinationError, match="cannot be used for TLS"):
                make(settle(**files))


def test_a_key_alone_is_told(authority):
    with pytest.raises(DestinationError, match="no client certificate"):
        context(settle(client_key=authority.folder / "client.key"))


def test_keys_with_a_password_do_not_ask(authority, tmp_path):
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key((authority.folder / "client.key").read_bytes(), None)
    locked = tmp_path / "locked.key"
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(DestinationError, match="cannot be used for TLS"):
        context(settle(client_certificate=authority.folder / "client.pem", client_key=locked))
