"""All parts of the server but its connections: one composition, for HTTPS and for callers within the process."""

import secrets
from collections.abc import Callable
from random import Random

import msgspec

from epp.lab.kube_api.admission import BuiltInAdmission
from epp.lab.kube_api.apply import Apply
from epp.lab.kube_api.audit import AuditLog
from epp.lab.kube_api.bootstrap import bootstrap
from epp.lab.kube_api.controllers import Controllers
from epp.lab.kube_api.crds import CustomResources
from epp.lab.kube_api.deletion import Deletion
from epp.lab.kube_api.faults import Faults
from epp.lab.kube_api.field_owners import FieldOwners
from epp.lab.kube_api.rbac import Rbac
from epp.lab.kube_api.resources import BUILT_IN, Catalogue
from epp.lab.kube_api.reviews import Reviews
from epp.lab.kube_api.schema import KindSchemas, SchemaSource
from epp.lab.kube_api.schema_rules import SchemaRules
from epp.lab.kube_api.storage import WINDOW_CHANGES, Store
from epp.lab.kube_api.tls import Certificates, make_certificates
from epp.lab.kube_api.tokens import Tokens
from epp.lab.kube_api.users import MASTERS, User
from epp.lab.kube_api.watching import WatchHub
from epp.lab.kube_api.writes import Writes

ADMIN = User("kubernetes-admin", (MASTERS,))


class SavedState(msgspec.Struct, frozen=True):
    """What a server keeps over a restart: its identity and its objects."""

    certificates: Certificates
    token_key: bytes
    admin_token: str
    store: bytes


class Machinery:
    """The state of one server. `clock() -> unix seconds`; `saved` is what an earlier one kept."""

    def __init__(
        self,
        host: str,
        clock: Callable[[], float],
        *,
        saved: SavedState | None = None,
        seed: int | None = None,
        window_changes: int = WINDOW_CHANGES,
        schemas: SchemaSource | None = None,
    ) -> None:
        self.schemas = KindSchemas(schemas)
        self.certificates = saved.certificates if saved else make_certificates(host)
        self.admin_token = saved.admin_token if saved else secrets.token_urlsafe(24)
        self._token_key = saved.token_key if saved else secrets.token_bytes(32)
        self.store = Store(window_changes)
        self.catalogue = Catalogue(BUILT_IN)
        self.rbac = Rbac(self.store)
        self.tokens = Tokens(self.store, self._token_key, clock)
        self.tokens.add_static(self.admin_token, ADMIN)
        self.reviews = Reviews(self.tokens, self.rbac)
        self.hub = WatchHub(self.store)
        self.deletion = Deletion(self.store, clock)
        owners = FieldOwners(self.schemas, clock)
        self.writes = Writes(
            self.store,
            SchemaRules(self.schemas),
            BuiltInAdmission(self.store),
            owners,
            self.deletion,
            clock=clock,
            random=Random(seed),
        )
        self.apply = Apply(self.store, self.writes, owners)
        self.custom = CustomResources(self.store, self.catalogue, self.hub, clock)
        self.faults = Faults()
        self.audit = AuditLog()
        if saved:
            self.store.restore(saved.store)
            self.custom.serve_stored()
        Controllers(
            self.store,
            catalogue=self.catalogue,
            writes=self.writes,
            deletion=self.deletion,
            tokens=self.tokens,
            ca_pem=lambda: self.certificates.ca_pem,
        )
        bootstrap(self.store, self.catalogue, self.writes)

    def saved(self) -> SavedState:
        """For a later server that shall go on in the place of this one."""
        return SavedState(self.certificates, self._token_key, self.admin_token, self.store.snapshot())
