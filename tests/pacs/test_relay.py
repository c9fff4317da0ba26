"""What viewers get of a PACS: the studies of this server, read only, under its own address."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from cardiolabel.datasets.phantom import SampleFormat, write_sample
from cardiolabel.errors import PacsError, UnknownStudyError
from cardiolabel.pacs.dicomweb import Answer, Pacs
from cardiolabel.pacs.relay import Relay
from cardiolabel.pacs.stored import store_folder

from .orthanc import Orthanc, needs_orthanc

pytestmark = [needs_orthanc, pytest.mark.filterwarnings("ignore::ResourceWarning")]

OWN = "https://hospital.example/dicom-web"
JSON = "application/dicom+json"


@pytest.fixture(scope="module")
def pacs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    home = tmp_path_factory.mktemp("relay")
    write_sample(home / "sample", patients=2, seed=2, kind=SampleFormat.DICOM)
    orthanc = Orthanc(home / "orthanc", users={"viewer": "secret word"}).start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CARDIOLABEL_PACS_USER", "viewer")
        patch.setenv("CARDIOLABEL_PACS_PASSWORD", "secret word")
        try:
            store_folder(home / "sample" / "DICOM", orthanc.url)
            yield orthanc
        finally:
            orthanc.kill()


@pytest.fixture
def login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARDIOLABEL_PACS_USER", "viewer")
    monkeypatch.setenv("CARDIOLABEL_PACS_PASSWORD", "secret word")


@pytest.fixture
def instance(pacs: Orthanc, login: None) -> tuple[str, str, str]:
    first = next(iter(Pacs(pacs.url).instances()))
    return first.study_uid, first.series_uid, first.sop_uid


def content(answer: Answer) -> bytes:
    return b"".join(answer.pieces)


def test_a_search_shows_the_servers_studies_only(pacs: Orthanc, instance: tuple[str, str, str]) -> None:
    everything = Relay(pacs.url, lambda: {each.study_uid for each in Pacs(pacs.url).instances()})
    assert len(json.loads(content(everything.get("studies", [], accept=JSON, own_url=OWN)))) > 1
    relay = Relay(pacs.url, lambda: {instance[0]})
    answer = relay.get("studies", [("limit", "50"), ("includefield", "00081030")], accept=JSON, own_url=OWN)
    rows = json.loads(content(answer))
    assert [row["0020000D"]["Value"] for row in rows] == [[instance[0]]]
    assert pacs.url not in json.dumps(rows)


def test_metadata_and_frames_come_under_the_servers_address(
    pacs: Orthanc, instance: tuple[str, str, str]
) -> None:
    study, series, sop = instance
    relay = Relay(pacs.url, lambda: {study})
    path = f"studies/{study}/series/{series}"
    text = content(relay.get(f"{path}/metadata", [], accept=JSON, own_url=OWN)).decode()
    assert sop in text and str(pacs.port) not in text and f"{OWN}/studies/{study}" in text
    frame = relay.get(
        f"{path}/instances/{sop}/frames/1",
        [],
        accept='multipart/related; type="application/octet-stream"; transfer-syntax=*',
        own_url=OWN,
    )
    assert frame.status == 200 and frame.media_type.startswith("multipart/related")
    assert len(content(frame)) > 1000


@pytest.mark.parametrize(
    "path",
    [
        "",
        "instances",
        "series",
        "studies/1.2.3",
        "studies/{study}/../../system",
        "studies/{study}/series/..",
        "studies/{study}/a//b",
        "studies/{study}?x=y",
        "studies/{study}/%2e%2e",
        "../system",
        "studies/{study}\n",
    ],
)
def test_nothing_else_of_the_pacs_is_reached(
    pacs: Orthanc, instance: tuple[str, str, str], path: str
) -> None:
    relay = Relay(pacs.url, lambda: {instance[0]})
    with pytest.raises(UnknownStudyError):
        relay.get(path.format(study=instance[0]), [], accept="", own_url=OWN)


def test_a_pacs_that_refuses_or_is_gone_is_told(
    pacs: Orthanc, instance: tuple[str, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARDIOLABEL_PACS_PASSWORD", "wrong word")
    relay = Relay(pacs.url, lambda: {instance[0]})
    with pytest.raises(PacsError, match="refuses the login") as refusal:
        relay.get(f"studies/{instance[0]}/metadata", [], accept=JSON, own_url=OWN)
    assert "word" not in str(refusal.value)
    with pytest.raises(PacsError, match="does not answer"):
        Relay("http://127.0.0.1:9/dicom-web", lambda: {"1.2"}).get("studies", [], accept="", own_url=OWN)
