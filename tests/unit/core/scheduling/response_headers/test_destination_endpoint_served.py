from epp.core.scheduling.response_headers.destination_endpoint_served import DestinationEndpointServedVerifier


def test_what_the_gateway_says_is_reported() -> None:
    header = DestinationEndpointServedVerifier().served_header("10.0.0.1:8000")
    assert header == ("x-conformance-test-served-endpoint", "10.0.0.1:8000")


def test_a_gateway_that_says_nothing_fails_the_test() -> None:
    _, value = DestinationEndpointServedVerifier().served_header("")
    assert value.startswith("fail:")
