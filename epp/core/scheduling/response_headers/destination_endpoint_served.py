"""destination-endpoint-served-verifier: tells the client who served it, as the gateway says. For conformance tests.

x-conformance-test-served-endpoint = x-gateway-destination-endpoint-served of the response's metadata; where the gateway
does not say, a text that begins with "fail:", so that the test fails.
Source: the plugin of the same name of the reference endpoint picker, conformance tests of the Gateway API inference
extension.
"""

HEADER = "x-conformance-test-served-endpoint"
MISSING = "fail: missing destination endpoint served metadata"


class DestinationEndpointServedVerifier:
    """See the module."""

    def served_header(self, served: str) -> tuple[str, str]:
        """See the module."""
        return HEADER, served or MISSING
