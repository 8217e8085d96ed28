"""Kaggle's modules where a notebook of Kaggle is run again, made from their documented behaviour.

Source: Kaggle/docker-python on GitHub (Apache-2.0), ``patches/kaggle_secrets.py``,
``kaggle_web_client.py`` and ``kaggle_datasets.py`` as of August 2026: names, signatures and
exceptions; no code of it is used. Access tokens for Google's services cannot be had here.
"""

from __future__ import annotations

import os
from enum import Enum
from typing import Any, Callable, Dict, Optional

from .context import Context, fill

_DOC = "Stands in for {} while reprolock runs a notebook again that was recorded on Kaggle."
_GCLOUD = "__gcloud_sdk_auth__"


def fills(context: Context) -> Dict[str, Callable[[Any], None]]:
    """Return name -> what fills a new module of that name."""
    client = _web_client()
    parts = {
        "kaggle_web_client": client,
        "kaggle_secrets": _secrets(context, client),
        "kaggle_datasets": {"KaggleDatasets": _datasets(context)},
    }

    def filling(name: str, names: Dict[str, Any]) -> Callable[[Any], None]:
        def run(module: Any) -> None:
            fill(module, context, _DOC.format(name), names)
            context.told("module", name)

        return run

    return {name: filling(name, names) for name, names in parts.items()}


def _web_client() -> Dict[str, Any]:
    class CredentialError(Exception):
        pass

    class BackendError(Exception):
        pass

    return {"CredentialError": CredentialError, "BackendError": BackendError}


def _secrets(context: Context, client: Dict[str, Any]) -> Dict[str, Any]:
    class ValidationError(Exception):
        pass

    class NotFoundError(Exception):
        pass

    class GcpTarget(Enum):
        BIGQUERY = (1, "BigQuery")
        GCS = (2, "Google Cloud Storage")
        CLOUDAI = (3, "Google Cloud AI Platform")

        @property
        def target(self) -> int:
            return int(self.value[0])

        @property
        def service(self) -> str:
            return str(self.value[1])

    class UserSecretsClient:
        """Answers from the environment variables that were named for the secrets."""

        def get_secret(self, label: str) -> str:
            """Raises ValidationError without a label, BackendError without such a secret."""
            if not label:
                raise ValidationError("Label must be non-empty.")
            value = context.secret("kaggle_secrets.UserSecretsClient.get_secret", label)
            if value is None:
                raise client["BackendError"](
                    "No user secrets exist for the label {0}; reprolock verify takes it with "
                    "--secret {0}=VARIABLE".format(label)
                )
            return value

        def get_gcloud_credential(self) -> str:
            """Raises NotFoundError where no credential was given as ``__gcloud_sdk_auth__``."""
            asked = "kaggle_secrets.UserSecretsClient.get_gcloud_credential"
            value = context.secret(asked, _GCLOUD)
            if value is None:
                raise NotFoundError("Google Cloud SDK credential not found.")
            return value

        def set_gcloud_credentials(
            self, project: Optional[str] = None, account: Optional[str] = None
        ) -> None:
            """Name project and account; the credential itself is written nowhere."""
            name = "kaggle_secrets.UserSecretsClient.set_gcloud_credentials"
            context.told("module", name)
            if project:
                os.environ["GOOGLE_CLOUD_PROJECT"] = project
            if account:
                os.environ["GOOGLE_ACCOUNT"] = account

        def set_tensorflow_credential(self, credential: str) -> None:
            """Do nothing: the credential is written nowhere."""
            name = "kaggle_secrets.UserSecretsClient.set_tensorflow_credential"
            context.told("module", name)

        def get_bigquery_access_token(self) -> Any:
            """Raises CredentialError: only Kaggle gives such a token."""
            context.told("absent", "kaggle_secrets.UserSecretsClient.get_bigquery_access_token")
            raise client["CredentialError"]("only Kaggle gives an access token for BigQuery")

    names = (ValidationError, NotFoundError, GcpTarget, UserSecretsClient)
    return dict({one.__name__: one for one in names}, **client)


def _datasets(context: Context) -> Any:
    class KaggleDatasets:
        def get_gcs_path(self, dataset_dir: Optional[str] = None) -> str:
            """Raises RuntimeError: the copy in Google's storage is not to be had here."""
            context.told("absent", "kaggle_datasets.KaggleDatasets.get_gcs_path")
            raise RuntimeError(
                "KaggleDatasets.get_gcs_path asks Kaggle for a copy in Google's storage; "
                "read the files below /kaggle/input instead"
            )

    return KaggleDatasets
