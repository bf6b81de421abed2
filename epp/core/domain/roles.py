"""Roles of pods: which stages of inference an endpoint can do. The label `llm-d.ai/role` says it.

| role                     | decode | prefill | encode |
| ------------------------ | ------ | ------- | ------ |
| none                     | yes    | no      | no     |
| `decode`                 | yes    | no      | no     |
| `prefill`                | no     | yes     | no     |
| `encode`                 | no     | no      | yes    |
| `prefill-decode`, `both` | yes    | yes     | no     |
| `encode-prefill`         | no     | yes     | yes    |
| `encode-prefill-decode`  | yes    | yes     | yes    |

Any other value can do none of them.
"""

ROLE_LABEL = "llm-d.ai/role"
DECODE_ROLES = ("decode", "prefill-decode", "both", "encode-prefill-decode")
PREFILL_ROLES = ("prefill", "encode-prefill", "prefill-decode", "both", "encode-prefill-decode")
ENCODE_ROLES = ("encode", "encode-prefill", "encode-prefill-decode")
