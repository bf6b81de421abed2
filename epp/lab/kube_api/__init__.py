"""An API server in memory, for tests and for trying the picker without a cluster: strict, over real HTTPS.

It answers as kube-apiserver does wherever a client can tell: the verbs with their conflicts, watches with bookmarks and
expiry, authentication, RBAC, CustomResourceDefinitions, discovery, tables. No controllers run behind it except the few
without which clients fail: tokens of service accounts, deletion of dependents and of namespaces, conditions of CRDs.
Facts: the Kubernetes API conventions and the API reference of 1.33 and later.
"""
