"""Many processes: the tables and masks of one, whatever happens to workers."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from cardiolabel.domain import Record, Spacing
from cardiolabel.errors import CardiolabelError, ClusterError
from cardiolabel.inference.predictor import Predictor
from cardiolabel.io import nifti
from cardiolabel.models.models import load
from cardiolabel.pipeline.folder_run import Summary
from cardiolabel.pipeline.infer_folder import infer_folder
from cardiolabel.pipeline.workers import Options
from cardiolabel.studies.predicted import MODEL_NAME

from ...inference.models import noise_clip, save_tiny_model

pytest.importorskip("ray", reason="needs ray: pip install 'cardiolabel[cluster]'")

from cardiolabel.pipeline.cluster import connection
from cardiolabel.pipeline.cluster import groups as grouping
from cardiolabel.pipeline.cluster.cluster import cluster
from cardiolabel.pipeline.cluster.fitness import check_fit, own_program

ROOT = Path(__file__).parents[3]
COMMAND = (sys.executable, "-m", "cardiolabel")
PATIENTS = 40
SPACING = Spacing(row_mm=1.0, col_mm=1.15)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    save_tiny_model(folder)
    return folder


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Several groups of patients: stills, a cine, and a file that is torn."""
    folder = tmp_path_factory.mktemp("studies")
    for number in range(PATIENTS):
        for phase in ("ED", "ES"):
            clip = noise_clip(1, 90, 80, SPACING, seed=number)
            nifti.write_clip(clip, folder / f"patient{number:02}_4CH_{phase}.nii.gz")
    nifti.write_clip(noise_clip(37, 70, 60, SPACING, seed=99), folder / "patient05_2CH_cine.nii.gz")
    (folder / "patient07_4CH_ES.nii.gz").write_bytes(b"\x1f\x8b\x08torn")
    return folder


@pytest.fixture(scope="module")
def expected(studies: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Expected:
    """What one process makes of the folder."""
    out = tmp_path_factory.mktemp("alone")
    done = infer_folder(studies, load("tiny", weights), out=out, resume=False, on_progress=lambda *_: None)
    assert done.problems
    return Expected(done, contents(out))


@dataclass(frozen=True)
class Expected:
    summary: Summary
    files: dict[str, bytes]


def contents(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A cluster of this machine that runs already."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # Ray makes itself a token in the home folder, which differs between tests; this head is local.
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(ROOT / "lib")}
    head = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from ray.scripts.scripts import main; main()",
            "start",
            "--head",
            "--block",
            "--node-ip-address=127.0.0.1",
            f"--port={port}",
            "--num-cpus=2",
            "--include-dashboard=false",
            "--disable-usage-stats",
            f"--object-store-memory={200 * 2**20}",
        ],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for _ in range(300):
        time.sleep(0.2)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
    time.sleep(2)  # the head listens before its cores are known
    yield f"127.0.0.1:{port}"
    head.terminate()
    head.wait(30)
    monkeypatch.undo()


def infer(
    where: str,
    studies: Path,
    weights: Path,
    out: Path,
    *,
    workers: int = 2,
    resume: bool = False,
    predictor: Predictor | None = None,
    on_progress: Callable[[int, int], None] = lambda *_: None,
) -> Summary:
    with cluster(where, model="tiny", weights=weights, workers=workers) as who:
        return infer_folder(
            studies,
            predictor or load("tiny", weights),
            out=out,
            resume=resume,
            on_progress=on_progress,
            workers=who,
        )


def is_busy(process: psutil.Process) -> bool:
    """Whether a process has patients now; Ray names its workers after what they do."""
    with suppress(psutil.Error):
        return (process.cmdline() or [""])[0].startswith("ray::Worker.measure")
    return False


@contextmanager
def killing(most: int) -> Iterator[list[int]]:
    """Kill busy workers, as many, as soon as they are seen; yields those that were."""
    over, killed = threading.Event(), list[int]()

    def kill() -> None:
        listed = 0.0
        while len(killed) < most and not over.wait(0.005):
            if time.monotonic() - listed > 0.1:  # to list them takes as long as some work does
                processes, listed = psutil.Process().children(recursive=True), time.monotonic()
            for process in list(filter(is_busy, processes))[: most - len(killed)]:
                with suppress(psutil.Error):
                    process.send_signal(signal.SIGKILL)
                    killed.append(process.pid)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield killed
    finally:
        over.set()
        killer.join()


@pytest.mark.long
def test_the_command_makes_the_files_of_one_process_and_leaves_nothing_running(
    studies: Path, weights: Path, expected: Expected, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    before = {process.pid for process in psutil.process_iter()}
    run = subprocess.run(
        [
            *COMMAND,
            "infer",
            str(studies),
            "--model",
            "tiny",
            "--weights",
            str(weights),
            "--out",
            str(out),
            "--cluster",
            "local",
            "--workers",
            "1",
            "--strict",
        ],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT / "lib")},
    )
    assert run.returncode == 1, run.stderr  # --strict, and one file is torn
    assert contents(out) == expected.files
    assert run.stdout.startswith("81 images of 40 patients, 1 without a mask") and run.stdout.count("\n") == 1
    (problem,) = run.stderr.splitlines()
    assert problem.startswith("patient07_4CH_ES: ")
    left = [process.info["name"] for process in psutil.process_iter(["name"]) if process.pid not in before]
    assert not {"raylet", "gcs_server", *(name for name in left if name.startswith("ray::"))} & set(left)


@pytest.mark.long
def test_the_work_of_a_killed_worker_is_done_again(
    address: str, studies: Path, weights: Path, expected: Expected, tmp_path: Path
) -> None:
    seen: list[int] = []
    with killing(1) as killed:
        result = infer(
            address, studies, weights, tmp_path / "out", on_progress=lambda done, total: seen.append(done)
        )
    assert len(killed) == 1 and seen == sorted(seen) and seen[-1] == result.images
    assert result == expected.summary and contents(tmp_path / "out") == expected.files


@pytest.mark.long
def test_patients_that_kill_every_worker_end_the_run(
    address: str, studies: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of the tiny model's groups, one is too quick to be caught at work: one group of everything.
    monkeypatch.setattr(grouping, "_GROUP_STILLS", 10_000)
    text = pytest.raises(ClusterError, match=r"3 workers died over the same .*: patient00, patient01")
    with text, killing(99):
        infer(address, studies, weights, tmp_path / "out", workers=1)
    assert not (tmp_path / "out" / "frames.csv").exists()
    assert not list((tmp_path / "out").rglob(".partial-*"))


def test_resume_keeps_masks_of_an_earlier_run(
    address: str, studies: Path, weights: Path, expected: Expected, tmp_path: Path
) -> None:
    for name, content in expected.files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    (tmp_path / "labels" / "patient00_4CH_ED.nii.gz").unlink()
    result = infer(address, studies, weights, tmp_path, workers=1, resume=True)
    assert result.skipped == 79 and result.problems == expected.summary.problems
    assert contents(tmp_path) == expected.files


@pytest.mark.long
def test_a_worker_of_another_model_is_refused(
    address: str, studies: Path, weights: Path, tmp_path: Path
) -> None:
    other = load("tiny", weights).only(["lv_cavity"], name="other")
    with pytest.raises(ClusterError, match=r"worker on .* another model or engine.*name tiny, not other"):
        infer(address, studies, weights, tmp_path / "out", workers=1, predictor=other)
    nowhere = tmp_path / "nowhere"
    with pytest.raises(ClusterError, match=r"worker on .*no weights for model tiny"):
        infer(address, studies, nowhere, tmp_path / "out", workers=1, predictor=other)


def test_a_machine_that_does_not_share_the_folders_is_refused(
    studies: Path, weights: Path, tmp_path: Path
) -> None:
    predictor, group = load("tiny", weights), next(grouping.groups([[_record(studies)]]))
    options = Options(tmp_path, resume=False)
    with pytest.raises(ClusterError, match=rf"{MODEL_NAME}: No such file.*all machines share"):
        check_fit(predictor, group, options, "")
    infer_folder(studies, predictor, out=tmp_path, resume=False, on_progress=lambda *_: None)
    check_fit(predictor, group, options, own_program())
    with pytest.raises(ClusterError, match="other packages"):
        check_fit(predictor, group, options, "numpy 0")
    elsewhere = next(grouping.groups([[_record(tmp_path / "unmounted")]]))
    with pytest.raises(ClusterError, match=r"unmounted: no such folder.*all machines share"):
        check_fit(predictor, elsewhere, options, own_program())


def _record(folder: Path) -> Record:
    from cardiolabel.records.file_names import record_from_name

    return record_from_name(folder / "patient00_4CH_ED.nii.gz")


@pytest.mark.parametrize(
    ("where", "said"),
    [("nonsense", "expected local"), ("127.0.0.1:9", "refused"), ("ray://127.0.0.1:9", "refused")],
)
def test_no_cluster_at_that_address(where: str, said: str, weights: Path) -> None:
    started = time.monotonic()
    with (
        pytest.raises(ClusterError, match=said) as caught,
        cluster(where, model="tiny", weights=weights, workers=1),
    ):
        pytest.fail("there is none")
    assert "\n" not in str(caught.value) and time.monotonic() - started < 60


def test_ray_is_optional(monkeypatch: pytest.MonkeyPatch, weights: Path) -> None:
    monkeypatch.setattr(connection.importlib.util, "find_spec", lambda _: None)
    with (
        pytest.raises(CardiolabelError, match=r"pip install 'cardiolabel\[cluster\]'"),
        cluster("local", model="tiny", weights=weights, workers=1),
    ):
        pytest.fail("Ray is not there")


def test_groups_are_whole_patients_and_lazy(studies: Path) -> None:
    taken = []

    def patients() -> Iterator[list[Record]]:
        for number in range(1000):
            taken.append(number)
            yield [_record(studies)] * 4

    groups = grouping.groups(patients())
    assert [len(next(groups)) for _ in range(3)] == [8, 8, 8] and len(taken) == 24
