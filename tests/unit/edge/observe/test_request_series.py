from epp.core.domain.request import InferenceRequest
from epp.edge.observe.label_values import OTHER
from epp.edge.observe.request_series import RequestSeriesStore


def request(model: str = "m", *, target: str = "", fairness_id: str = "f", priority: int = 0) -> InferenceRequest:
    return InferenceRequest(
        request_id="r", model=model, target_model=target, fairness_id=fairness_id, priority=priority
    )


def store(*, by_flow: bool, most_values: int = 1_000, most_series: int = 5_000) -> RequestSeriesStore:
    return RequestSeriesStore(by_flow=by_flow, most_values=most_values, most_series=most_series)


def test_same_models_share_a_set() -> None:
    sets = store(by_flow=False)

    assert sets.of(request("m", priority=1)) is sets.of(request("m", priority=2, fairness_id="g"))
    assert sets.of(request("m")) is not sets.of(request("m", target="m-v2"))
    assert sets.of(request("m")).key == ("m", "m", "", "")


def test_flow_and_priority_tell_sets_apart_where_they_are_shown() -> None:
    sets = store(by_flow=True)

    assert sets.of(request(priority=1)) is not sets.of(request(priority=2))
    assert sets.of(request(fairness_id="a")) is not sets.of(request(fairness_id="b"))
    assert sets.of(request(priority=-3)).key == ("m", "m", "f", "-3")


def test_strangers_beyond_the_bound_of_values_share_one_set() -> None:
    sets = store(by_flow=False, most_values=1)
    sets.of(request("first"))

    assert sets.of(request("second")) is sets.of(request("third"))
    assert sets.of(request("second")).key == (OTHER, OTHER, "", "")
    assert sets.of(request("first")).key == ("first", "first", "", "")


def test_combinations_are_bounded_and_configured_names_keep_theirs() -> None:
    sets = store(by_flow=False, most_series=2)
    sets.set_known(["tuned", "base"])
    sets.of(request("a"))
    sets.of(request("b"))

    assert sets.of(request("a", target="b")).key == (OTHER, OTHER, "", "")
    assert sets.of(request("tuned", target="base")).key == ("tuned", "base", "", "")
    assert sets.of(request("a")).key == ("a", "a", "", "")


def test_when_flows_are_too_many_configured_names_keep_model_and_priority() -> None:
    sets = store(by_flow=True, most_series=1)
    sets.set_known(["tuned"])
    sets.of(request("a"))

    assert sets.of(request("tuned", fairness_id="x", priority=5)).key == ("tuned", "tuned", OTHER, "5")
    assert sets.of(request("b", fairness_id="x", priority=5)).key == (OTHER, OTHER, OTHER, "5")


def test_memory_is_bounded_by_the_bounds_not_by_the_clients() -> None:
    sets = store(by_flow=False, most_values=10, most_series=50)
    for number in range(2_000):
        sets.of(request(f"m-{number % 97}" + "x" * 300, target=f"t-{number % 89}"))

    assert len(sets.all()) <= 50 + 1
    assert len(sets._shortcuts) <= len(sets.all())


def test_configured_names_are_bounded_too() -> None:
    """A client may ask for every pair of them by the header that names a target."""
    sets = store(by_flow=False, most_series=20)
    names = [f"m-{number}" for number in range(50)]
    sets.set_known(names)
    for model in names:
        for target in names:
            sets.of(request(model, target=target))

    assert len(sets.all()) == 2 * 20 + 1
    assert sets.of(request("m-49", target="m-48")).key == (OTHER, OTHER, "", "")
