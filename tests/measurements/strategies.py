"""What property tests of measuring draw from."""

from hypothesis import strategies as st

from cardiolabel.domain import Spacing

from .shapes import Heart, Ventricle

spacings = st.builds(Spacing, row_mm=st.floats(0.3, 0.8), col_mm=st.floats(0.3, 0.8))

hearts = st.builds(
    Heart.posed,
    length_mm=st.floats(65, 95),
    cut=st.floats(0, 0.5),
    rotation_deg=st.floats(-30, 30),
    shift_mm=st.tuples(st.floats(-1, 1), st.floats(-1, 1)),
)

ventricles = st.builds(
    Ventricle,
    semi_axis_mm=st.floats(58, 75),
    radius_mm=st.floats(14, 24),
    cut=st.floats(0, 0.4),
    rotation_deg=st.floats(-30, 30),
    centre_mm=st.tuples(st.floats(86, 92), st.floats(66, 76)),
)
