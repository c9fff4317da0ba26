"""MONAI Label's DICOM modules beside pydicom 3."""

import importlib.util
import subprocess
import sys

import pytest

pytest.importorskip("pydicom_seg", reason="cardiolabel[server] is not installed")


def test_pydicom_seg_has_the_storage_class_names_that_it_imports() -> None:
    code = (
        "from pydicom._storage_sopclass_uids import SegmentationStorage as segmentation\n"
        "import pydicom.uid, monailabel.datastore.utils.convert\n"
        "assert segmentation == pydicom.uid.SegmentationStorage"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)


def test_python_starts_without_importing_more_than_the_finder() -> None:
    code = "import sys; print([name for name in sys.modules if name.startswith(('cardiolabel', 'pydicom'))])"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert loaded.strip() == "['cardiolabel', 'cardiolabel.system', 'cardiolabel.system.pydicom_names']"


def test_other_missing_modules_stay_missing() -> None:
    assert importlib.util.find_spec("pydicom._no_such_module") is None
