"""The name of the user: torch asks for it when it is imported, and containers that run under any user id have none."""

import getpass
import os


def ensure_user_name() -> None:
    """Give this process a user name if its user has none."""
    try:
        getpass.getuser()
    except (KeyError, OSError):  # no entry in the table of users, and no variable
        os.environ["LOGNAME"] = f"user{os.getuid()}"
