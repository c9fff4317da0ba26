"""Entry point of a child process: one training, or one prediction of many images.

``python -I task.py SOURCE METHOD``: the request is JSON on standard input, as `child_process` sends it.
"""

from __future__ import annotations

import json
import logging
import sys

METHODS = ("train", "batch_infer")


def main(source: str, method: str) -> None:
    """Load the app and run the task.

    Parameters
    ----------
    source : str
        Where the server has `cardiolabel` from.
    method : str
        One of `METHODS`.
    """
    sys.path.insert(0, source)
    import cardiolabel  # noqa: F401  found there, and nothing else is looked for there first

    sys.path.append(sys.path.pop(0))
    if method not in METHODS:
        raise SystemExit(f"method {method!r}: expected one of {', '.join(METHODS)}")
    request = json.loads(sys.stdin.buffer.read())
    logging.basicConfig(
        level=logging.INFO,
        format="[%(asctime)s] [%(process)s] [%(levelname)s] (%(name)s:%(lineno)d) - %(message)s",
        stream=sys.stdout,
    )
    from monailabel.interfaces.utils.app import app_instance

    from cardiolabel.experiments.servers import end_with_the_caller

    end_with_the_caller()
    getattr(app_instance(), method)(request)


if __name__ == "__main__":
    main(*sys.argv[1:])
