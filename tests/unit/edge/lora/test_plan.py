"""What to load, replace, unload and keep."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from epp.edge.lora.configuration import Adapter
from epp.edge.lora.plan import Action, LoadedByUs, Served, Step, plan, seen

FOOD = Adapter("food", "repo/food", "base")
CAD = Adapter("cad", "repo/cad", "base")


def actions(steps: tuple[Step, ...]) -> list[tuple[str, Action]]:
    return [(step.adapter.id, step.action) for step in steps]


def of_food(served: Served | None, ours: LoadedByUs | None = None) -> Step:
    (step,) = plan([FOOD], (), {} if served is None else {"food": served}, {} if ours is None else {"food": ours})
    return step


def test_the_case_of_the_reference() -> None:
    """exist v1, v3, already; not exist v2, v3, remove; v3, being in both, is in neither list any more."""
    served = {"already": Served(), "v2": Served(), "remove": Served(), "v3": Served(), "other": Served()}
    wanted = [Adapter("v1", "repo/v1"), Adapter("already", "repo/already")]
    assert actions(plan(wanted, ("v2", "remove"), served, {})) == [
        ("v1", Action.LOAD),
        ("already", Action.KEEP),
        ("v2", Action.UNLOAD),
        ("remove", Action.UNLOAD),
    ]


def test_who_is_missing_is_loaded_and_who_is_there_is_kept() -> None:
    steps = plan([FOOD, CAD], ("old", "older"), {"cad": Served("repo/cad"), "old": Served("repo/old")}, {})
    assert actions(steps) == [
        ("food", Action.LOAD),
        ("cad", Action.KEEP),
        ("old", Action.UNLOAD),
        ("older", Action.ABSENT),
    ]


def test_who_is_in_no_list_is_not_touched() -> None:
    assert plan((), (), {"food": Served("repo/food")}, {"food": LoadedByUs("repo/food", "base")}) == ()


def test_another_source_is_a_reason_to_replace() -> None:
    step = of_food(Served("repo/former"), LoadedByUs("repo/former", "base", "repo/former"))
    assert step == Step(Action.REPLACE, FOOD, "it was loaded from 'repo/former'")


def test_another_base_model_is_a_reason_to_replace() -> None:
    step = of_food(Served("repo/food"), LoadedByUs("repo/food", "former", "repo/food"))
    assert step == Step(Action.REPLACE, FOOD, "it was loaded for the base model 'former'")


def test_a_source_that_the_server_spells_in_its_own_way_is_none() -> None:
    assert (
        of_food(Served("/models/repo/food"), LoadedByUs("repo/food", "base", "/models/repo/food")).action is Action.KEEP
    )
    assert of_food(Served("/models/repo/food"), LoadedByUs("repo/food", "base")).action is Action.KEEP


def test_somebody_else_loaded_it_from_elsewhere() -> None:
    assert of_food(Served("repo/theirs")) == Step(Action.REPLACE, FOOD, "somebody else loaded it from 'repo/theirs'")
    replaced = of_food(Served("repo/theirs"), LoadedByUs("repo/food", "base", "repo/food"))
    assert replaced.reason == "somebody else loaded it from 'repo/theirs'"


def test_somebody_else_loaded_it_as_wished() -> None:
    assert of_food(Served("repo/food")).action is Action.KEEP
    assert of_food(Served(None)).action is Action.KEEP, "an old server does not say where it came from"


def test_a_base_model_is_never_touched() -> None:
    served = {"food": Served("meta/llama", is_base_model=True), "old": Served("meta/llama", is_base_model=True)}
    assert [step.action for step in plan([FOOD], ("old",), served, {})] == [Action.REFUSE, Action.REFUSE]


def test_books_forget_who_is_gone_and_keep_the_first_spelling() -> None:
    ours = {
        "food": LoadedByUs("repo/food", ""),
        "cad": LoadedByUs("repo/cad", "", "/a/cad"),
        "gone": LoadedByUs("x", ""),
    }
    served = {"food": Served("/a/food"), "cad": Served("/b/cad"), "other": Served("y")}
    assert seen(served, ours) == {
        "food": LoadedByUs("repo/food", "", "/a/food"),
        "cad": LoadedByUs("repo/cad", "", "/a/cad"),
    }


IDS = st.sampled_from(["a", "b", "c", "d", "e"])
SOURCES = st.sampled_from(["repo/1", "repo/2"])
BASES = st.sampled_from(["", "base"])
ADAPTERS = st.dictionaries(IDS, st.builds(lambda source, base: (source, base), SOURCES, BASES))
SERVED = st.dictionaries(IDS, st.builds(Served, st.one_of(st.none(), SOURCES), st.booleans()))
OURS = st.dictionaries(IDS, st.builds(LoadedByUs, SOURCES, BASES, st.one_of(st.none(), SOURCES)))


def taken(
    steps: tuple[Step, ...], served: Mapping[str, Served], ours: Mapping[str, LoadedByUs]
) -> tuple[dict[str, Served], dict[str, LoadedByUs]]:
    """What a server that does all that it is told serves afterwards, and our books."""
    after, books = dict(served), dict(ours)
    for step in steps:
        name = step.adapter.id
        if step.action in (Action.UNLOAD, Action.REPLACE):
            del after[name]
            books.pop(name, None)
        if step.action in (Action.LOAD, Action.REPLACE):
            assert name not in after, "vLLM would refuse it"
            after[name] = Served(f"/resolved/{step.adapter.source}")
            books[name] = LoadedByUs(step.adapter.source, step.adapter.base_model)
    return after, books


@given(ADAPTERS, st.sets(IDS), SERVED, OURS)
def test_one_round_is_enough_and_touches_nobody_else(
    adapters: dict[str, tuple[str, str]], listed: set[str], served: dict[str, Served], ours: dict[str, LoadedByUs]
) -> None:
    wanted = [Adapter(name, *fields) for name, fields in adapters.items()]
    unwanted = sorted(listed - adapters.keys())
    books = seen(served, ours)
    steps = plan(wanted, unwanted, served, books)
    after, books = taken(steps, served, books)

    assert [step.adapter.id for step in steps] == [*adapters, *unwanted]
    for name, model in served.items():
        if model.is_base_model or name not in {*adapters, *unwanted}:
            assert after[name] == model
    assert adapters.keys() <= after.keys()
    assert not [name for name in unwanted if name in after and not after[name].is_base_model]
    settled = plan(wanted, unwanted, after, seen(after, books))
    assert {step.action for step in settled} <= {Action.KEEP, Action.ABSENT, Action.REFUSE}
