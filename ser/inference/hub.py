"""Published models on the Hugging Face Hub: ``hub:<owner>/<name>``, or ``hub:<owner>/<name>@<revision>``."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ser.errors import ConfigError, RunError, SerError
from ser.models.published_files import FACTS, PIPELINE, WEIGHTS
from ser.runtime.packages import of_extra

HUB = "hub:"
"""What the name of a model on the Hub begins with, where a path could be."""


def downloaded(name: str) -> Path:
    """Return the folder of a model on the Hub. Files in the Hub's cache are used where it has them, or the Hub is away.

    Args:
        name: ``hub:<owner>/<name>``; ``@<revision>``, a branch, tag or commit, may follow.

    Raises:
        ConfigError: If there is no such model, or no permission to read it, or huggingface_hub is not installed.
        RunError: If the Hub cannot be reached, or what is there is not a published model.
    """
    repo, _, revision = name.removeprefix(HUB).partition("@")
    with plain_hub_errors(repo):
        folder = Path(
            library_of_hub().snapshot_download(
                repo, revision=revision or None, allow_patterns=[FACTS, WEIGHTS, PIPELINE]
            )
        )
    if not (folder / FACTS).is_file():
        raise RunError(f"{name} must hold a model that python -m ser.publish wrote; it has no {FACTS}. Give another.")
    return folder


def library_of_hub() -> Any:
    """Import huggingface_hub.

    Raises:
        ConfigError: If it is not installed.
    """
    return of_extra("huggingface_hub", "hub", "Models on the Hub")


@contextmanager
def plain_hub_errors(repo: str) -> Iterator[None]:
    """Turn the errors of huggingface_hub, and of the network, into sentences.

    Args:
        repo: What is asked for.

    Raises:
        ConfigError: If the name cannot be one, there is nothing of this name, or access is denied.
        RunError: If the Hub cannot be reached, or fails.
    """
    errors = of_extra("huggingface_hub.errors", "hub", "Models on the Hub")
    try:
        yield
    except SerError:
        raise
    except errors.HFValidationError as error:
        raise ConfigError(
            f"A model on the Hub must be named <owner>/<name>; got {repo!r}. Correct the name."
        ) from error
    except errors.RevisionNotFoundError as error:
        raise ConfigError(f"The revision must be one that {repo} has on the Hub; got another. Leave it out.") from error
    except errors.LocalTokenNotFoundError as error:
        raise ConfigError("The Hub must know who you are; no token was found. Log in with `hf auth login`.") from error
    except errors.RepositoryNotFoundError as error:
        raise ConfigError(
            f"{repo} must exist on the Hub and be open to you; it is not. Correct its name, or log in with `hf auth login` "
            "if its access is restricted."
        ) from error
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        if status in (401, 403):
            raise ConfigError(
                f"Your account must be allowed to use {repo} this way; the Hub refused it (status {status}). Log in with "
                "`hf auth login` and a token that may write, or choose your own name."
            ) from error
        raise RunError(f"The Hub must answer for {repo}; it failed (status {status}). Try again later.") from error
    except Exception as error:  # of the network, whose library is another one in each version of huggingface_hub
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES):
            raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise RunError(
            f"The Hub must be reachable for {repo}; it is not ({reason:.150}). Check the network, or give a folder with the "
            f"files of the model ({FACTS} and those beside it)."
        ) from error
