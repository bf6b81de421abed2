"""TLS between Envoy and the picker, unverified or against a CA."""

from pathlib import Path

import grpc
import pytest
import trustme

from epp.lab.envoy_config import EnvoyOptions, PickerTls
from tests.support.envoy_stack import checked, running_stack
from tests.support.scripted_ext_proc import picking


@pytest.fixture
def ca() -> trustme.CA:
    return trustme.CA()


def credentials_from(ca: trustme.CA) -> grpc.ServerCredentials:
    certificate = ca.issue_cert("epp.example")
    chain = b"".join(part.bytes() for part in certificate.cert_chain_pems)
    return grpc.ssl_server_credentials([(certificate.private_key_pem.bytes(), chain)])


def ca_file(ca: trustme.CA, directory: Path) -> str:
    path = directory / "ca.pem"
    ca.cert_pem.write_to_path(str(path))
    return str(path)


async def test_any_certificate_is_taken_without_a_ca_file(ca: trustme.CA, tmp_path: Path) -> None:
    options = EnvoyOptions(picker_tls=PickerTls())
    async with running_stack(tmp_path, options=options, credentials=credentials_from(ca)) as stack, checked(stack):
        stack.picker.script = picking(stack.address_of(1))
        assert (await stack.post()).served_by == stack.address_of(1)
        assert len(stack.picker.conversations) == 1


async def test_a_certificate_of_the_ca_with_the_right_name_is_taken(ca: trustme.CA, tmp_path: Path) -> None:
    options = EnvoyOptions(picker_tls=PickerTls(ca_file(ca, tmp_path), "epp.example"))
    async with running_stack(tmp_path, options=options, credentials=credentials_from(ca)) as stack, checked(stack):
        await stack.post()
        assert len(stack.picker.conversations) == 1


@pytest.mark.parametrize("wrong", ["name", "ca"])
async def test_another_certificate_is_refused(ca: trustme.CA, tmp_path: Path, wrong: str) -> None:
    trusted = ca if wrong == "name" else trustme.CA()
    name = "other.example" if wrong == "name" else "epp.example"
    options = EnvoyOptions(picker_tls=PickerTls(ca_file(trusted, tmp_path), name))
    async with running_stack(tmp_path, options=options, credentials=credentials_from(ca)) as stack, checked(stack):
        stack.expect("failure_mode_allowed", "streams_failed")
        assert (await stack.post()).status == 200
        assert stack.picker.conversations == []
