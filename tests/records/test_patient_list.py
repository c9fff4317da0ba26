"""Lists of patients, as people write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from cardiolabel.errors import DatasetError
from cardiolabel.records.patient_list import read_patient_list


@pytest.mark.parametrize("text", ["a b", "a,b", "a;b\n", "# who\na # one\n\nb", "\ufeffa\r\nb\r\n"])
def test_patients_are_separated_by_anything_usual(tmp_path: Path, text: str) -> None:
    (tmp_path / "list.txt").write_text(text, encoding="utf-8")
    assert read_patient_list(tmp_path / "list.txt") == {"a", "b"}


@pytest.mark.parametrize(("content", "message"), [(b"\xff\xfe\xff", "cannot be read"), (b"# none\n", "nam")])
def test_a_selection_of_unknown_patients_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(DatasetError, match=message):
        read_patient_list(tmp_path / "list.txt")
