"""``python -m ser.serve model=runs/...``: a server of trained models."""

from typing import TYPE_CHECKING

from ser.command import command

if TYPE_CHECKING:
    from omegaconf import DictConfig


@command("serve", extra="serve")
def main(config: "DictConfig") -> None:
    """Serve the models of the configuration."""
    from importlib.util import find_spec

    from ser.errors import ConfigError

    for package in ("fastapi", "uvicorn", "websockets", "prometheus_client", "python_multipart"):
        if find_spec(package) is None:
            raise ConfigError(
                f"The server needs the package {package}, which is not installed. Run pip install 'ser[serve]'."
            )
    from ser.serving.server import serve

    serve(config)


if __name__ == "__main__":
    main()
