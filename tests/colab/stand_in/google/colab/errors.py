"""What the other modules raise."""


class Error(Exception):
    pass


class AuthorizationError(Error):
    pass


class RuntimeManagementError(Error):
    pass
