import pytest

from epp.lab.kube_api.storage import Change, Store, TooOld


def named(name: str, **fields: object) -> dict[str, object]:
    return {"metadata": {"name": name, "uid": name}, **fields}


def put(store: Store, name: str, **fields: object) -> int:
    return store.put("/pods", ("", name), named(name, **fields)).revision


def test_one_counter_for_everything() -> None:
    store = Store()
    first = put(store, "a")
    other = store.put("/services", ("", "s"), named("s")).revision
    last = store.remove("/pods", ("", "a"))
    assert [first, other, last.revision] == [first, first + 1, first + 2]
    assert last.value["metadata"]["resourceVersion"] == str(last.revision)


def test_the_state_at_an_earlier_version() -> None:
    store = Store()
    put(store, "a", x=1)
    then = put(store, "b")
    put(store, "a", x=2)
    put(store, "c")
    store.remove("/pods", ("", "b"))
    earlier = store.shelf("/pods").at(then)
    assert {key[1]: stored.value.get("x") for key, stored in earlier.items()} == {"a": 1, "b": None}


def test_changes_are_told_in_order_and_with_what_was_before() -> None:
    store, told = Store(), list[tuple[str, str, object]]()

    def listener(storage_key: str, change: Change) -> None:
        told.append((storage_key, change.kind, change.before and change.before.value.get("x")))

    store.listen(listener)
    put(store, "a", x=1)
    put(store, "a", x=2)
    store.remove("/pods", ("", "a"))
    assert told == [("/pods", "created", None), ("/pods", "updated", 1), ("/pods", "deleted", 2)]


def test_changes_that_are_forgotten_are_too_old() -> None:
    store = Store(window_changes=2)
    versions = [put(store, name) for name in "abcd"]
    shelf = store.shelf("/pods")
    assert [change.key[1] for change in shelf.changes_after(versions[1])] == ["c", "d"]
    with pytest.raises(TooOld):
        shelf.changes_after(versions[0])
    store.compact()
    with pytest.raises(TooOld):
        shelf.changes_after(versions[3])
    assert shelf.changes_after(store.revision) == []


def test_a_restored_store_goes_on_counting_and_knows_no_earlier_versions() -> None:
    store = Store()
    first = put(store, "a")
    put(store, "b")
    copy = Store()
    copy.restore(store.snapshot())
    assert copy.shelf("/pods").objects.keys() == store.shelf("/pods").objects.keys()
    assert put(copy, "c") == store.revision + 1
    with pytest.raises(TooOld):
        copy.shelf("/pods").changes_after(first)
