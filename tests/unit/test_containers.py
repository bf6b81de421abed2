"""The Dockerfile, as far as it can be checked without a container engine."""

import fnmatch
import json
import re
import shlex
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from epp.app.flags import FLAGS
from epp.cli.main import SUBCOMMANDS, main
from tests.support.command_lines import default_of
from tests.support.compose_file import ROOT
from tests.support.envoy_validate import ENDPOINTS

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PORTS = {flag.name: int(flag.default) for flag in FLAGS if flag.name.endswith("-port")}


class Instruction:
    """One instruction of the Dockerfile; `words` without the flags `--from` and the like."""

    def __init__(self, stage: int, text: str) -> None:
        self.stage = stage
        self.name, _, self.text = text.partition(" ")
        parsed = json.loads(self.text) if self.text.startswith("[") else shlex.split(self.text)
        self.words = [word for word in parsed if not word.startswith("--") or self.name not in {"COPY", "FROM"}]


def dockerfile() -> list[Instruction]:
    """Comments left out, continued lines joined."""
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.lstrip().startswith("#")]
    found: list[Instruction] = []
    stage = -1
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if not line.strip():
            continue
        stage += line.startswith("FROM ")
        found.append(Instruction(stage, " ".join(line.split())))
    return found


DOCKERFILE = dockerfile()
LAST_STAGE = DOCKERFILE[-1].stage


def only(name: str) -> Instruction:
    """The instruction of that name in the last stage."""
    (found,) = [each for each in DOCKERFILE if each.name == name and each.stage == LAST_STAGE]
    return found


def is_sent(path: str) -> bool:
    """Whether .dockerignore leaves the path in the build context: the last pattern that matches decides."""
    sent = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        pattern = line.removeprefix("!").removeprefix("**/")
        parents = [path, *(str(parent) for parent in Path(path).parents if str(parent) != ".")]
        names = [Path(each).name for each in parents] if "**/" in line else parents
        if any(fnmatch.fnmatchcase(name, pattern) for name in names):
            sent = line.startswith("!")
    return sent


def test_both_stages_start_from_one_python_that_the_project_supports() -> None:
    build, last = [each.words[0] for each in DOCKERFILE if each.name == "FROM"]
    found = re.fullmatch(r"(python:3\.(\d+))-slim", last)
    assert found is not None
    assert build == found[1], "the same, with the compiler that the small one lacks"
    assert int(found[2]) >= int(PROJECT["project"]["requires-python"].removeprefix(">=3."))


def test_everything_is_installed_from_wheels_with_known_hashes() -> None:
    commands = [part for each in DOCKERFILE if each.name == "RUN" for part in each.text.split(" && ")]
    installs = [command for command in commands if re.search(r"\binstall\b(?! --directory)", command)]
    assert len(installs) == 3
    for command in installs:
        locked = "--require-hashes" in command and "--only-binary :all:" in command and ".lock" in command
        assert locked or ("--no-index" in command and "--no-deps" in command), command
    assert not {"ADD", "SHELL"} & {each.name for each in DOCKERFILE}
    assert not any(re.search(r"\b(apt|apt-get|curl|wget|git)\b", command) for command in commands)


def test_the_image_contains_what_the_runtime_lock_names() -> None:
    runtime = [each.text for each in DOCKERFILE if each.name == "RUN" and "/opt/epp/bin/python install" in each.text]
    assert "--requirement requirements-runtime.lock" in runtime[0]
    (copied,) = [each for each in DOCKERFILE if each.name == "COPY" and each.stage == LAST_STAGE]
    assert copied.text == "--from=build /opt/epp /opt/epp"


def test_what_is_copied_exists_and_is_part_of_the_build_context() -> None:
    sources = [
        word for each in DOCKERFILE if each.name == "COPY" and "--from" not in each.text for word in each.words[:-1]
    ]
    assert {"epp", "envoy", "protos", "pyproject.toml"} <= set(sources)
    for source in sources:
        assert (ROOT / source).exists(), source
        assert is_sent(source), source


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("epp/app/serve.py", True),
        ("epp/_pb/core_pb2.py", False),
        ("epp/app/__pycache__/serve.cpython-312.pyc", False),
        ("tests/unit/test_containers.py", False),
        (".git/config", False),
        (".venv/bin/python", False),
    ],
)
def test_the_build_context_is_small(path: str, expected: bool) -> None:
    assert is_sent(path) is expected


def test_the_protobufs_and_the_compiled_wheel_are_made_in_the_build_stage() -> None:
    (build,) = [each.text for each in DOCKERFILE if each.name == "RUN" and "hatchling" in each.text]
    assert build.index("protos/generate.py") < build.index("EPP_COMPILE=1 hatchling build --target wheel")
    assert all(each.stage != LAST_STAGE for each in DOCKERFILE if "hatchling" in each.text)


def test_it_runs_epp_as_an_unprivileged_user() -> None:
    assert only("USER").text == "65532:65532"
    assert only("ENTRYPOINT").words == ["epp"]
    assert "epp" in PROJECT["project"]["scripts"]
    assert CliRunner().invoke(main, only("CMD").words).exit_code == 0
    owned = only("RUN").text
    assert owned.startswith("install ")
    assert "--owner 65532 --group 65532" in owned
    assert owned.endswith(ENDPOINTS)


def test_its_comment_names_every_subcommand() -> None:
    comment = (ROOT / "Dockerfile").read_text().partition("#\n")[0]
    assert set(re.findall(r"`([a-z-]+)`", comment)) == set(SUBCOMMANDS)


def test_it_exposes_the_default_ports() -> None:
    ports = [
        PORTS["grpc-port"],
        PORTS["grpc-health-port"],
        PORTS["metrics-port"],
        default_of("lora-sync", "metrics_port"),
    ]
    assert [int(word) for word in only("EXPOSE").words] == ports
