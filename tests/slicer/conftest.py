"""What runs within 3D Slicer's own environment is no test of pytest's."""

collect_ignore = [
    *("extension.py", "views.py", "walkthrough.py"),
    *("module_picture.py", "module_walk.py", "panel_walk.py"),
]
