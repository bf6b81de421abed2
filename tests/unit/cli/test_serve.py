"""`epp serve` as it is typed: Go's spellings, help, and mistakes that end with one message and an exit code."""

from pathlib import Path

import click
import msgspec
import pytest
from click.testing import CliRunner, Result

from epp.app import serve as serving
from epp.app.flag import Group
from epp.app.flags import FLAGS
from epp.app.options import ServeOptions
from epp.cli.main import main
from epp.cli.serve import command
from epp.core.domain.errors import InvalidInput


def typed(*words: str) -> Result:
    """What `epp serve <words>` prints and how it ends; never a traceback."""
    result = CliRunner().invoke(main, ["serve", *words], prog_name="epp", terminal_width=110)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    return result


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[ServeOptions]:
    """The options with which the picker would have been started."""
    taken: list[ServeOptions] = []

    async def take(options: ServeOptions) -> None:
        taken.append(options)

    monkeypatch.setattr(serving, "serve", take)
    for flag in FLAGS:
        if flag.variable:
            monkeypatch.delenv(flag.variable, raising=False)
    return taken


def one(served: list[ServeOptions], *words: str) -> ServeOptions:
    result = typed(*words)
    assert result.exit_code == 0, result.output
    return served.pop()


def test_help_shows_every_flag_in_its_group() -> None:
    sections: dict[str, list[str]] = {}
    title = ""
    for line in typed("--help").output.splitlines():
        if line and not line.startswith(" "):
            title = line.removesuffix(":")
        elif line.startswith("  -"):
            sections.setdefault(title, []).append(line.split("--")[1].split(" ")[0])

    expected = {group.value: [flag.name for flag in FLAGS if flag.group is group] for group in Group}
    assert sections == {**expected, "Other": ["help"]}


def test_help_shows_defaults_and_choices() -> None:
    text = "".join(typed("--help").output.split())  # lines are broken anywhere, in words with dashes too
    for flag in FLAGS:
        defaults = ",".join(filter(None, (f"${flag.variable}" if flag.variable else "", flag.default)))
        assert not defaults or f"[default:{defaults}]" in text
        assert "|".join(flag.choices) in text


def test_go_spellings(served: list[ServeOptions]) -> None:
    for words in (("--pool-name", "x"), ("--pool-name=x",), ("-pool-name", "x"), ("-pool-name=x",)):
        assert one(served, *words).pool_name == "x"


def test_a_value_that_looks_like_a_flag(served: list[ServeOptions]) -> None:
    assert one(served, "--body-priority-min=-5", "-body-priority-max", "-1").body_priority_min == -5


@pytest.mark.parametrize(
    ("words", "verbosity"), [(["-v", "4"], 4), (["-v=4"], 4), (["--v", "4"], 4), (["--v=4"], 4), (["-v4"], 4), ([], 2)]
)
def test_verbosity(served: list[ServeOptions], words: list[str], verbosity: int) -> None:
    assert one(served, *words).verbosity == verbosity


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--secure-serving"], True),
        (["-secure-serving"], True),
        (["--secure-serving=true"], True),
        (["--secure-serving=false"], False),
        (["-secure-serving=0"], False),
        (["--secure-serving", "false"], False),
        (["--secure-serving", "--pool-name", "x"], True),
        ([], True),
    ],
)
def test_a_flag_of_true_and_false(served: list[ServeOptions], words: list[str], expected: bool) -> None:
    assert one(served, *words).secure_serving is expected


def test_the_last_of_several_counts(served: list[ServeOptions]) -> None:
    assert one(served, "--grpc-port=1", "-grpc-port", "2").grpc_port == 2


def test_the_namespace_of_the_environment(served: list[ServeOptions], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAMESPACE", "of-the-pod")
    assert one(served).pool_namespace == "of-the-pod"


def test_every_flag_can_be_typed(served: list[ServeOptions]) -> None:
    """At its default, so that nothing contradicts."""
    without = one(served)
    words = [f"--{flag.name}={flag.default}" for flag in FLAGS if not flag.no_effect]
    typed_out = one(served, *words)
    assert typed_out.cluster.given == ("metrics-endpoint-auth",), "true by default, and true when it is typed"
    assert msgspec.structs.replace(typed_out, cluster=without.cluster) == without


def test_a_list_of_ports_may_be_given_in_parts(served: list[ServeOptions]) -> None:
    words = ("--endpoint-selector=app=vllm", "--endpoint-target-ports=8000,8001", "-endpoint-target-ports", "8002")
    assert one(served, *words).cluster.endpoint_target_ports == (8000, 8001, 8002)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--pool-nam", "x"], "No such option '--pool-nam'. (Did you mean one of: '--pool-group', '--pool-name'"),
        (["-objekts", "x"], "No such option"),
        (["pool/"], "unexpected extra argument (pool/)"),
        (["--pool-name"], "Option '--pool-name' requires an argument"),
        (["--grpc-port", "many"], "--grpc-port: 'many' is not a whole number"),
        (["--secure-serving=maybe"], "--secure-serving: 'maybe' is neither true nor false"),
        (["--objects=pool", "--metrics-endpoint-auth"], "--metrics-endpoint-auth: it asks the API server"),
        (["--endpoint-selector", "app=vllm"], "--endpoint-selector: needs the ports"),
        (["--metrics-client-ca-file=ca"], "--metrics-client-ca-file: client certificates need TLS"),
        (["--config-file=a", "--config-text=b"], "either --config-file or --config-text"),
    ],
)
def test_a_wrong_command_line_ends_with_2(served: list[ServeOptions], words: list[str], says: str) -> None:
    result = typed(*words)
    assert result.exit_code == 2
    assert says in result.output.partition("Error: ")[2]
    assert served == []


def test_a_picker_that_cannot_start_ends_with_1_and_its_reason(
    served: list[ServeOptions], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_options: ServeOptions) -> None:
        raise InvalidInput("pool.yaml", "is a mess", line=3, field="spec")

    monkeypatch.setattr(serving, "serve", fail)
    result = typed()
    assert (result.exit_code, result.output) == (1, "epp serve: pool.yaml:3: spec: is a mess\n")


def test_no_place_for_the_pool() -> None:
    result = typed("--grpc-port=0")
    assert result.exit_code == 1
    assert result.output.startswith("epp serve: --pool-name: say where the pool is: in a cluster --pool-name NAME")


def test_a_mistake_in_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "picker.yaml"
    path.write_text("apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\nplugins:\n- type: queue-scorerr\n")
    result = typed("--objects", str(tmp_path), "--config-file", str(path))
    assert result.exit_code == 1
    assert result.output.startswith(f"epp serve: {path}:4: plugins[0].type: ")
    assert "queue-scorer" in result.output


def test_every_flag_is_an_option_of_the_command() -> None:
    names = {option.opts[-1].removeprefix("--") for option in command.params if isinstance(option, click.Option)}
    assert names == {flag.name for flag in FLAGS}
