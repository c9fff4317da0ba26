"""Commands on the accounts with which people log in to the server of a studies folder."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from cardiolabel.cli.options import Existing
from cardiolabel.cli.terminal import clear_errors
from cardiolabel.errors import DatasetError, InputError

if TYPE_CHECKING:
    from cardiolabel.accounts.accounts import AccountRole, Accounts

app = typer.Typer(
    help="Accounts with which people log in to the server of a studies folder.", no_args_is_help=True
)

Name = Annotated[str, typer.Argument(help="Name of the account.")]
Role = Annotated[str, typer.Option("--role", help="reader, annotator, reviewer or administrator.")]
FromInput = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input, without asking.")
]


@app.command()
def add(studies: Existing, name: Name, role: Role, password_stdin: FromInput = False) -> None:
    """Add an account, the first one an administrator's; a running server asks for it when started anew."""
    with clear_errors():
        accounts = _accounts(studies)
        is_first = not accounts
        accounts.add(name, _role(role), _password(password_stdin))
        typer.echo(f"added {name}, {role}")
        if is_first:
            typer.echo("the server asks for a login once it is started anew")


@app.command("list")
def list_accounts(studies: Existing) -> None:
    """List accounts with their roles, and why one is locked."""
    with clear_errors():
        for account in _accounts(studies).all():
            typer.echo("\t".join(filter(None, (account.name, account.role, account.locked))))


@app.command()
def role(studies: Existing, name: Name, role: Role) -> None:
    """Change what an account may do, from its next request on."""
    with clear_errors():
        account = _accounts(studies).set_role(name, _role(role))
        typer.echo(f"{account.name} is {account.role} now")


@app.command()
def password(studies: Existing, name: Name, password_stdin: FromInput = False) -> None:
    """Set a new password, which ends every login of the account."""
    with clear_errors():
        account = _accounts(studies).set_password(name, _password(password_stdin))
        typer.echo(f"{account.name} has a new password")


@app.command()
def lock(studies: Existing, name: Name) -> None:
    """Lock an account, which ends its logins."""
    with clear_errors():
        account = _accounts(studies).set_locked(name, "locked by an administrator")
        typer.echo(f"{account.name} is locked")


@app.command()
def unlock(studies: Existing, name: Name) -> None:
    """Unlock an account, also one that was locked after wrong passwords."""
    with clear_errors():
        account = _accounts(studies).set_locked(name, "")
        typer.echo(f"{account.name} can log in")


@app.command()
def remove(studies: Existing, name: Name) -> None:
    """Remove an account; what its owner did stays recorded under the name."""
    with clear_errors():
        _accounts(studies).remove(name)
        typer.echo(f"removed {name}")


def _accounts(studies: Existing) -> Accounts:
    from cardiolabel.system.installation import check_server

    check_server()
    from cardiolabel.accounts.accounts import Accounts

    if not studies.is_dir():
        raise DatasetError(f"{studies}: no such folder; expected a studies folder")
    return Accounts(studies)


def _role(text: str) -> AccountRole:
    from cardiolabel.accounts.accounts import AccountRole

    try:
        return AccountRole(text)
    except ValueError:
        raise InputError(f"{text!r}: expected {', '.join(AccountRole)}") from None


def _password(from_input: bool) -> str:
    if from_input:
        return sys.stdin.readline().rstrip("\n")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
