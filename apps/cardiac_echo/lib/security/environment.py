"""Settings of this app: ``CARDIOLABEL_*`` variables, or lines of ``.env`` where the server starts."""

from __future__ import annotations

import os
from functools import cache

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from cardiolabel.io.limits import set_image_limit
from cardiolabel.system import memory_budget
from cardiolabel.system.memory_budget import set_limit

MB = 1024**2


class Environment(BaseSettings):
    """Settings of an administrator; `docs/reference/settings.md` explains each."""

    open: bool = False
    hosts: str = ""
    max_upload_mb: int = Field(default=512, gt=0)
    max_image_mb: int = Field(default=2048, gt=0)
    max_request_mb: int = Field(default=1536, gt=0)
    max_connections: int = Field(default=1000, gt=0)
    max_connections_per_address: int = Field(default=200, gt=0)
    max_sessions_mb: int = Field(default=8192, gt=0)
    max_uploads_mb: int = Field(default=0, ge=0)
    auth_issuer: str = ""
    auth_scope: str = "openid"
    auth_client_secret: SecretStr = SecretStr("")
    login_hours: float = Field(default=12, gt=0)
    login_idle_minutes: float = Field(default=120, gt=0)
    leases_per_annotator: int = Field(default=10, gt=0)
    show_paths: bool = False
    ohif: str = ""
    audit_log: str = ""
    audit_max_mb: int = Field(default=16, gt=0)
    audit_files: int = Field(default=20, gt=0)
    access_log: bool = False

    model_config = SettingsConfigDict(env_prefix="CARDIOLABEL_", env_file=".env", extra="ignore")

    @property
    def host_names(self) -> frozenset[str]:
        """Accepted names of this server in lower case, besides this machine's own."""
        return frozenset(name.strip().lower() for name in self.hosts.split(",") if name.strip())


@cache
def environment() -> Environment:
    """Return the settings of this process.

    Raises
    ------
    pydantic.ValidationError
        One of them is not of its kind; the message names it.
    """
    return Environment()


def apply_limits() -> None:
    """Pass the limits to the library, once per process."""
    set_image_limit(environment().max_image_mb * MB)
    set_limit(environment().max_request_mb * MB)
    # For the child processes.
    os.environ[memory_budget.LIMIT_VARIABLE] = str(
        environment().max_request_mb
    )  # for the processes beside it
