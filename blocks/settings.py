"""Settings of the process, read from the environment with the prefix `EVERFIT_`."""

from functools import cached_property
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from everfit.blocks.policy import Duration


class Settings(BaseSettings):
    """The places and settings of this installation.

    Attributes:
        workspace: The folder or `s3://bucket/prefix` of the Delta tables and of the files of each turn.
        ledger_url: The SQLAlchemy URL of the ledger. By default it is SQLite beside the workspace.
        mlflow_page: The address of MLflow for browsers, if it differs from the one that flows use.
        registry_poll: How often `everfit up` looks at MLflow for changes that a person made; by default it does not.
        log_level: The level of everfit's own log lines.
        signing_key: The Ed25519 key that signs versions and releases: its PEM file, `block:NAME` of a Prefect Secret
            block, or the PEM itself.
        signers: The file of the public keys of which one must have signed each version that is loaded.
        pages: Whether flows write the pages of models into the workspace.
        pages_login: The login of `everfit pages --serve`, as `user:password`.
        pages_url: The address at which the pages are served, for links in messages and artifacts.
        project: The name of the project, which separates its deployments from those of others on a Prefect server.
    """

    model_config = SettingsConfigDict(env_prefix="EVERFIT_", frozen=True)

    workspace: str = Field(default=".everfit", description="A folder or s3://bucket/prefix.")
    ledger_url: SecretStr | None = Field(default=None, description="The SQLAlchemy URL of the ledger.")
    mlflow_page: str | None = Field(default=None, description="The address of MLflow for browsers.")
    log_level: str = Field(default="INFO", description="The level of everfit's own log lines.")
    signing_key: SecretStr | None = Field(
        default=None, description="The key that signs: its PEM file, block:NAME, or the PEM itself."
    )
    signers: str | None = Field(default=None, description="The file of public keys that versions must be signed by.")
    registry_poll: Duration | None = Field(
        default=None, description="How often `everfit up` looks at MLflow for changes by hand, such as 3s."
    )
    pages: bool = Field(default=True, description="Whether flows write the pages of models into the workspace.")
    pages_login: SecretStr | None = Field(default=None, description="The login of the pages, as `user:password`.")
    pages_url: str | None = Field(default=None, description="The address at which the pages are served.")
    project: str | None = Field(default=None, description="The name of the project on a Prefect server.")

    def page_of(self, model: str) -> str:
        """Return the address of a model's page; empty unless somebody is known to serve the pages."""
        return f"{self.pages_url.rstrip('/')}/{model}/index.html" if self.pages_url else ""

    @cached_property
    def state_dir(self) -> Path:
        """The local folder of the embedded databases: the workspace, or `.everfit` when that is remote."""
        return Path(".everfit" if "://" in self.workspace else self.workspace).absolute()

    @property
    def ledger(self) -> str:
        """The URL of the ledger, with the default filled in."""
        return self.ledger_url.get_secret_value() if self.ledger_url else f"sqlite:///{self.state_dir / 'ledger.db'}"
