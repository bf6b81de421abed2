"""What is wrong or odd is said once."""

from epp.core.domain.errors import InvalidInput
from epp.edge.objects.findings import Findings, Notice


class Said:
    def __init__(self) -> None:
        self.texts: list[str] = []
        self.findings = Findings(self.hear, self.hear)

    def hear(self, what: InvalidInput | Notice) -> None:
        self.texts.append(str(what))

    def new(self) -> list[str]:
        texts, self.texts = self.texts, []
        return texts


def test_a_problem_is_said_when_it_comes_up_and_again_after_it_had_gone() -> None:
    said = Said()
    problem = InvalidInput("a.yaml", "broken", line=3, field="spec")
    said.findings.replace("a.yaml", [problem])
    said.findings.replace("a.yaml", [problem])
    assert said.new() == ["a.yaml:3: spec: broken"]
    assert list(said.findings.problems) == [problem]
    said.findings.replace("a.yaml")
    assert not said.findings.problems
    said.findings.replace("a.yaml", [problem])
    assert said.new() == ["a.yaml:3: spec: broken"]
    said.findings.forget("a.yaml")
    said.findings.forget("a.yaml")
    assert not said.findings.problems


def test_scopes_do_not_touch_each_other() -> None:
    said = Said()
    said.findings.replace("a", [InvalidInput("a", "x")])
    said.findings.replace("b", [InvalidInput("b", "y"), InvalidInput("b", "y")])
    said.findings.replace("a")
    assert [str(problem) for problem in said.findings.problems] == ["b: y", "b: y"]
    assert said.new() == ["a: x", "b: y"]


def test_notices_of_one_subject_are_said_once() -> None:
    said = Said()
    said.findings.replace("a", notices=[Notice("a", "kind X", 1, subject="X"), Notice("a", "kind X", 9, subject="X")])
    said.findings.replace("b", notices=[Notice("b", "kind X", 5, subject="X"), Notice("b", "odd")])
    assert said.new() == ["a:1: kind X", "b: odd"]
    assert len(said.findings.notices) == 4
