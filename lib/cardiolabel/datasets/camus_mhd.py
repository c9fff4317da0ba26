"""CAMUS, original release: ``patientXXXX/patientXXXX_{2CH,4CH}_{ED,ES,sequence}[_gt].mhd``.

Its ``LVef`` field follows the guideline (each phase has its own long-axis length), unlike the
``EF`` field of the NIfTI release.

References
----------
Leclerc et al. 2019, doi 10.1109/TMI.2019.2900516
"""

from __future__ import annotations

from pathlib import Path

from cardiolabel.datasets.camus import Layout, records_of
from cardiolabel.datasets.folder import reference_path
from cardiolabel.domain import Convention, Phase, Record

__all__ = ["LAYOUT", "NAME", "records", "reference_path"]

NAME = "camus-mhd"

LAYOUT = Layout(
    dataset=NAME,
    nested=("training", "testing"),
    suffix=".mhd",
    phases={"ED": Phase.ED, "ES": Phase.ES, "sequence": Phase.CINE},
    ef_key="LVef",
    convention=Convention.GUIDELINE,
)


def records(root: Path) -> list[Record]:
    """Images of the release; parameters, returns and errors as `cardiolabel.datasets.camus.records`.

    Parameters
    ----------
    root : Path
        The folder of ``patientXXXX`` folders, or the one that holds ``training`` or ``testing``.
    """
    return records_of(root, LAYOUT)
