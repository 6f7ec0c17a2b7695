"""Push the folder of a published model to the Hugging Face Hub."""

from pathlib import Path

from ser.inference.hub import library_of_hub, plain_hub_errors

OUR_OWN = "Upload a model of ser"
"""The message of the commit."""


def upload(folder: Path, repo: str, private: bool = False) -> str:
    """Make a repository on the Hub unless it exists, upload a folder in one commit, and return the page's address.

    Args:
        folder: Of `ser.runs.publishing.publish`.
        repo: ``<owner>/<name>``.
        private: Whether only its owner may see a new repository.

    Raises:
        ConfigError: If the name cannot be one, or the account may not write there.
        RunError: If the Hub cannot be reached, or fails.
    """
    with plain_hub_errors(repo):
        api = library_of_hub().HfApi()
        page = api.create_repo(repo, private=private, exist_ok=True)
        api.upload_folder(repo_id=repo, folder_path=str(folder), commit_message=OUR_OWN)
    return str(page)
