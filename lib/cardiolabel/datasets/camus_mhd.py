"""CAMUS, original release: ``patientXXXX/patientXXXX_{2CH,4CH}_{ED,ES,sequence}[_gt].mhd``.

Its ``LVef`` field follows the guideline (each phase has its own long-axis length), unlike the
``EF`` field of the NIfTI release.

References
----------
Leclerc et al. 2019, doi 10.1109/TMI.2019.2900516
"""

from __future__ import annotations

from pathlib import Path

from cardiolabel.datasets.camus import Layout, listing_of
from cardiolabel.datasets.listing import Listing
from cardiolabel.domain import Convention, Phase

__all__ = ["LAYOUT", "NAME", "listing"]

NAME = "camus-mhd"

LAYOUT = Layout(
    dataset=NAME,
    nested=("training", "testing"),
    suffix=".mhd",
    phases={"ED": Phase.ED, "ES": Phase.ES, "sequence": Phase.CINE},
    ef_key="LVef",
    convention=Convention.GUIDELINE,
)


def listing(root: Path) -> Listing:
    """List the images of the release; parameters, returns and errors as `cardiolabel.datasets.camus.listing`.

    Parameters
    ----------
    root : Path
        The folder of ``patientXXXX`` folders, or the one that holds ``training`` or ``testing``.
    """
    return listing_of(root, LAYOUT)
