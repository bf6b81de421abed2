"""Who asks: users, groups, service accounts."""

import msgspec

ALL_AUTHENTICATED = "system:authenticated"
MASTERS = "system:masters"
SERVICE_ACCOUNT = "system:serviceaccount:"


class User(msgspec.Struct, frozen=True):
    """A caller whose credentials were good, or whom a review asks about."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: dict[str, list[str]] = {}

    @property
    def is_master(self) -> bool:
        """Allowed everything, whatever the roles say."""
        return MASTERS in self.groups


def service_account(namespace: str, name: str, uid: str, extra: dict[str, list[str]] | None = None) -> User:
    """The user that a ServiceAccount's token stands for."""
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", ALL_AUTHENTICATED)
    return User(f"{SERVICE_ACCOUNT}{namespace}:{name}", groups, uid, extra or {})


def service_account_of(user: str) -> tuple[str, str] | None:
    """Namespace and name in the user name of a service account, None for other users."""
    if not user.startswith(SERVICE_ACCOUNT):
        return None
    namespace, colon, name = user.removeprefix(SERVICE_ACCOUNT).partition(":")
    return (namespace, name) if colon else None
