"""Signs the person in. The stand-in keeps to the question that is put to the front end."""

import os

from google.colab import _message

__all__ = ["authenticate_service_account", "authenticate_user"]


def authenticate_user(clear_output=True, project_id=None):
    if os.environ.get("VERTEX_PRODUCT") == "COLAB_ENTERPRISE":
        print(
            "WARNING: google.colab.auth.authenticate_user() is not supported in Colab Enterprise."
        )
        return
    if project_id is not None:
        os.environ["GOOGLE_CLOUD_PROJECT"] = project_id
        os.environ["GOOGLE_CLOUD_QUOTA_PROJECT"] = project_id
    _message.blocking_request(
        "request_auth", request={"authType": "auth_user_ephemeral"}, timeout_sec=None
    )


def authenticate_service_account(clear_output=True):
    from google.colab import files

    print("\nPlease upload your service account key.")
    files.upload()
