"""What cannot be used is refused before anything is installed, with a message that names the value."""

import pytest

from tests.support.helm_chart import LABELS, HelmRefusal, rendered, with_values


def test_the_labels_of_the_model_servers_are_required() -> None:
    with pytest.raises(HelmRefusal, match=r"inferencePool\.modelServers\.matchLabels is required.*--set"):
        rendered()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("inferenceExtention.replicas=2", "'inferenceExtention' not allowed"),
        ("inferenceExtension.replica=2", r"at '/inferenceExtension'.*'replica' not allowed"),
        ("inferenceExtension.image.repo=x", r"at '/inferenceExtension/image'.*'repo' not allowed"),
        ("inferenceExtension.monitoring.prometheus.on=true", r"monitoring/prometheus'.*'on' not allowed"),
        ("inferencePool.targetPort=8000", r"at '/inferencePool'.*'targetPort' not allowed"),
        ("provider.gcp.autopilot=true", r"at '/provider'.*'gcp' not allowed"),
        ("gke.monitoringSecret.key=token", r"at '/gke/monitoringSecret'.*'key' not allowed"),
    ],
)
def test_an_unknown_value(setting: str, message: str) -> None:
    with pytest.raises(HelmRefusal, match=message):
        with_values(setting)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("inferenceExtension.replicas=two", r"at '/inferenceExtension/replicas': got string, want integer"),
        ("inferenceExtension.replicas=0", r"at '/inferenceExtension/replicas': minimum"),
        ("inferenceExtension.extProcPort=70000", r"at '/inferenceExtension/extProcPort': maximum"),
        ("inferenceExtension.env.TZ=UTC", r"at '/inferenceExtension/env': got object, want array"),
        ("inferenceExtension.failureMode=Open", r"at '/inferenceExtension/failureMode': value must be one of"),
        ("inferenceExtension.flags=v", r"at '/inferenceExtension/flags'"),
        ("inferenceExtension.flags.--v=1", r"at '/inferenceExtension/flags'"),
        ("inferenceExtension.pluginsCustomConfig.x.kind=y", r"pluginsCustomConfig/x': got object, want string"),
        ("inferencePool.targetPorts[0].port=8000", r"at '/inferencePool/targetPorts/0'"),
        ("inferencePool.modelServerType=tgi", r"at '/inferencePool/modelServerType': value must be one of"),
        ("inferencePool.apiVersion=v2", r"at '/inferencePool/apiVersion': value must be one of"),
        ("inferenceObjectives[0].priority=1", r"at '/inferenceObjectives/0': missing property 'name'"),
        ("provider.name=aws", r"at '/provider/name': value must be one of 'none', 'gke', 'istio'"),
        ("healthCheckPolicy.create=no-thanks", r"at '/healthCheckPolicy/create': got string, want boolean"),
        ("experimentalHttpRoute.requestTimeout=soon", r"at '/experimentalHttpRoute/requestTimeout'"),
    ],
)
def test_a_value_of_the_wrong_kind(setting: str, message: str) -> None:
    with pytest.raises(HelmRefusal, match=message):
        with_values(setting)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("inferenceExtension.latencyPredictor.enabled=true",), r"latencyPredictor\.enabled: this chart has no"),
        (
            ("inferenceExtension.pluginsConfigFile=mine.yaml",),
            r'there is no "mine.yaml"; there is default-plugins.yaml, reference-plugins.yaml',
        ),
        (("inferenceExtension.flags.drain-timeout=1m",), r"set inferenceExtension\.drainTimeoutSeconds"),
        (
            ("inferencePool.apiVersion=inference.networking.x-k8s.io/v1alpha2", "inferencePool.targetPorts={1,2}"),
            r"inferencePool\.targetPorts: an InferencePool of .*v1alpha2 has one port",
        ),
        (("inferenceExtension.sidecar.enabled=true",), r"inferenceExtension\.sidecar\.name is required"),
        (
            ("inferenceExtension.sidecar.enabled=true", "inferenceExtension.sidecar.name=envoy"),
            r"inferenceExtension\.sidecar\.image is required",
        ),
    ],
)
def test_values_that_do_not_go_together(settings: tuple[str, ...], message: str) -> None:
    with pytest.raises(HelmRefusal, match=message):
        with_values(*settings)


def test_the_labels_are_enough() -> None:
    assert rendered(f"--set={LABELS}").objects
