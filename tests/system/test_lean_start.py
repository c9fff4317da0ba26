"""The server's start leaves out what it never uses, and is MONAI Label's own otherwise."""

import subprocess
import sys

from cardiolabel.system.lean_start import HIDDEN

LOADED = """
import sys
import cardiolabel.system.lean_start as lean_start
sys.argv[1:] = ["--help"]
try:
    lean_start.main()
except SystemExit as ended:
    assert not ended.code
import monailabel.app
print("loaded:", sorted({name.partition(".")[0] for name in sys.modules} & set(lean_start.HIDDEN)))
"""


def test_monai_label_starts_without_what_is_left_out() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "start_server" in done.stdout and done.stdout.endswith("loaded: []\n")
    assert HIDDEN == ("ignite", "mlflow")
