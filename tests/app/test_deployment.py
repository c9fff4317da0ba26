"""The shipped front and service: nginx with TLS before a running server, and the unit of systemd."""

from __future__ import annotations

import datetime
import http.client
import json
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from .conftest import APP, ROOT, make_studies, running, start_server_command

DEPLOY = ROOT / "docs" / "deploy"
NAME = "echo.hospital.example"
STILL = "phantom01_4CH_ED"
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
START_S, HANDSHAKE_S = 20, 60

needs_nginx = pytest.mark.skipif(NGINX is None, reason="nginx is not installed here")
needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed here"
)


@dataclass
class Front:
    """nginx in a folder, and the ports that it listens on."""

    folder: Path
    plain: int
    tls: int

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        context = ssl.create_default_context(cafile=str(self.folder / "chain.pem"))
        connection = http.client.HTTPSConnection(NAME, self.tls, context=context)
        plain = socket.create_connection(("127.0.0.1", self.tls), timeout=HANDSHAKE_S)
        connection.sock = context.wrap_socket(plain, server_hostname=NAME)
        try:
            connection.request(method, path, body, {"Host": NAME, **(headers or {})})
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def log(self) -> str:
        return (self.folder / "access.log").read_text()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write_certificate(folder: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(days=1))
    builder = builder.not_valid_after(now + datetime.timedelta(days=1))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
    certificate = builder.sign(key, hashes.SHA256())
    (folder / "chain.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(private)


def write_configuration(folder: Path, server: int, plain: int, tls: int) -> Path:
    """The shipped one with the ports, the certificate and the logs of this test."""
    text = (DEPLOY / "nginx.conf").read_text()
    for shipped, tested in (
        ("127.0.0.1:8000", f"127.0.0.1:{server}"),
        ("listen 80;", f"listen 127.0.0.1:{plain};"),
        ("listen 443 ", f"listen 127.0.0.1:{tls} "),
        ("/etc/ssl/cardiolabel/", f"{folder}/"),
        ("/var/log/nginx/cardiolabel.log", f"{folder}/access.log"),
        ("/var/log/nginx/cardiolabel-error.log", f"{folder}/error.log"),
    ):
        assert shipped in text
        text = text.replace(shipped, tested)
    site, main = folder / "cardiolabel.conf", folder / "nginx.conf"
    site.write_text(text)
    temporary = " ".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    main.write_text(
        f"daemon off; pid {folder}/pid; error_log {folder}/main.log; worker_processes 1;"
        f" events {{}} http {{ {temporary} include {site}; }}"
    )
    return main


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    assert NGINX
    folder = tmp_path_factory.mktemp("front")
    studies = make_studies(folder / "studies")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CARDIOLABEL_HOSTS", NAME)
        with running(start_server_command(APP, studies), studies) as server:
            front = Front(folder, free_port(), free_port())
            write_certificate(folder)
            port = int(server.url.rpartition(":")[2])
            main = write_configuration(folder, port, front.plain, front.tls)
            subprocess.run([NGINX, "-t", "-q", "-c", str(main), "-p", str(folder)], check=True)
            nginx = subprocess.Popen([NGINX, "-c", str(main), "-p", str(folder)])
            try:
                _wait_until_listening(front.tls)
                yield front
            finally:
                nginx.terminate()
                nginx.wait(START_S)


def _wait_until_listening(port: int) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    pytest.fail("nginx did not start")


@needs_nginx
def test_requests_pass_and_answers_carry_the_headers_of_both(front: Front) -> None:
    status, headers, body = front.ask("GET", "/info/")
    assert status == 200 and json.loads(body)["name"] == "Cardiac echo"
    assert "max-age" in headers["Strict-Transport-Security"]
    assert headers["Content-Security-Policy"] and headers["X-Content-Type-Options"] == "nosniff"


@needs_nginx
def test_plain_http_leads_to_tls_and_other_names_lead_nowhere(front: Front) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", front.plain)
    connection.request("GET", "/cardiac/patients", headers={"Host": NAME})
    response = connection.getresponse()
    assert (response.status, response.headers["Location"]) == (301, f"https://{NAME}/cardiac/patients")
    connection.close()
    context = ssl.create_default_context(cafile=str(front.folder / "chain.pem"))
    with socket.create_connection(("127.0.0.1", front.tls)) as plain, pytest.raises(ssl.SSLError):
        context.wrap_socket(plain, server_hostname="evil.example")


@needs_nginx
def test_what_a_client_says_of_its_address_does_not_count(front: Front) -> None:
    for header in ("X-Forwarded-For", "X-Real-IP", "Forwarded"):
        assert front.ask("GET", "/info/", headers={header: "10.1.2.3"})[0] == 200


@needs_nginx
def test_uploads_pass_up_to_the_limit(front: Front) -> None:
    image = (front.folder / "studies" / f"{STILL}.nii.gz").read_bytes()
    head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.nii.gz"\r\n\r\n'
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    status, _, body = front.ask("PUT", "/session/", head + image + b"\r\n--x--\r\n", form)
    assert status == 200 and json.loads(body)["session_id"]
    assert not list((front.folder / "client_body").rglob("*.*"))
    too_long = {"Content-Length": str(600 * 1024**2), **form}
    assert front.ask("PUT", "/session/", None, too_long)[0] == 413
    assert front.ask("POST", "/auth/token", b"a" * 20_000)[0] == 413


@needs_nginx
def test_too_many_requests_are_refused_and_the_log_names_no_patient(front: Front) -> None:
    statuses = [front.ask("GET", f"/datastore/image/info?image={STILL}")[0] for _ in range(3)]
    assert statuses == [200] * 3
    body = b"username=a&password=b"
    attempts = {front.ask("POST", "/auth/token", body)[0] for _ in range(40)}
    assert 429 in attempts
    assert " GET 200 " in front.log() and "phantom" not in front.log() and "datastore" not in front.log()
    assert "phantom" not in (front.folder / "error.log").read_text()


@needs_systemd
def test_the_unit_of_systemd_is_read_and_leaves_little_open(tmp_path: Path) -> None:
    text = (DEPLOY / "cardiolabel.service").read_text()
    unit = tmp_path / "cardiolabel.service"
    unit.write_text(text.replace("/opt/cardiolabel/.venv/bin/cardiolabel", "/bin/true"))
    run = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0 and "cardiolabel.service" not in run.stderr, run.stderr
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=30", str(unit)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if "unrecognized option" in run.stderr:
        pytest.skip("this systemd cannot judge a unit that is not installed")
    assert run.returncode == 0, run.stdout[-300:]
