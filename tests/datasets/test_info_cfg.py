"""``Info*.cfg``: values, what is missing, and what cannot be understood."""

from __future__ import annotations

from pathlib import Path

import pytest

from cardiolabel.datasets.info_cfg import read_info_cfg
from cardiolabel.errors import DatasetError
from cardiolabel.io.numbers_in_text import whole


def test_values_blanks_and_keys_that_are_not_there(tmp_path: Path) -> None:
    path = tmp_path / "Info.cfg"
    path.write_text("ED: 1\nGroup:\n\nOther: x: y\n")
    cfg = read_info_cfg(path)
    assert cfg.value("ED", whole(1), "a frame number") == 1
    assert cfg.value("Group", str, "text") is None
    assert cfg.value("ES", whole(1), "a frame number") is None
    assert cfg.value("Other", str, "text") == "x: y"


def test_faults_name_file_line_and_what_was_expected(tmp_path: Path) -> None:
    path = tmp_path / "Info.cfg"
    path.write_text("ED: 1\nES: late\n")
    cfg = read_info_cfg(path)
    with pytest.raises(DatasetError, match=r"Info\.cfg, line 2: ES is 'late'; expected a frame number"):
        cfg.value("ES", whole(1), "a frame number")
    with pytest.raises(
        DatasetError, match=r"Info\.cfg: no NbFrame; expected a line 'NbFrame: ' with 1 or more"
    ):
        cfg.required("NbFrame", whole(1), "1 or more")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cannot be read"):
        read_info_cfg(tmp_path / "Info.cfg")
