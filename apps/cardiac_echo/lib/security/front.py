"""Limits of uvicorn, however the server was started.

MONAI Label passes on few of uvicorn's settings, and starts it before this app is loaded; connections are
accepted afterwards. So this app changes the running server's settings.
"""

from __future__ import annotations

import gc
import logging
import resource

from uvicorn import Config

from lib.security.connections import Connections
from lib.security.environment import environment
from lib.security.protocol import BoundedHttp

logger = logging.getLogger(__name__)

_OWN_FILES = 256
"""File descriptors for everything but connections: models, databases, logs, pipes of tasks."""

_FILES_PER_CONNECTION = 3
"""Descriptors per connection, with the files of its uploads and a brief excess."""


def bound_connections() -> None:
    """Make every uvicorn server of this process use `BoundedHttp`."""
    configs = [item for item in gc.get_objects() if type(item) is Config]
    if not configs:
        logger.warning("this server is not uvicorn: its connections and heads of requests have no limits")
        return
    for config in configs:
        config.http_protocol_class = BoundedHttp
        config.ws_protocol_class = None  # nothing here speaks WebSocket
        config.encoded_headers = [header for header in config.encoded_headers if header[0] != b"server"]
    # It warns of every piece of a form that is none.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    trusted = configs[0].forwarded_allow_ips or ""
    proxies = trusted if isinstance(trusted, str) else ",".join(trusted)
    BoundedHttp.watch = Connections(
        affordable_connections(environment().max_connections),
        per_address=environment().max_connections_per_address,
        proxies=proxies,
    )


def affordable_connections(requested: int) -> int:
    """Return the number of connections with enough descriptors, after raising the process's limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = requested * _FILES_PER_CONNECTION + _OWN_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return requested
    affordable = max(1, (soft - _OWN_FILES) // _FILES_PER_CONNECTION)
    logger.warning("%d connections at most, as the limit of open files (ulimit -n) is %d", affordable, soft)
    return affordable
