"""A load that cannot be used is refused with its place, the rule and the remedy; one that can means what it says."""

import pytest

from invoicing.jobs.model import Priority
from invoicing.kit.problems import Problem
from invoicing.plan.described import EXAMPLE, load_of, seconds, table
from invoicing.plan.model.spread import Fixed, LogNormal, Pareto


def test_the_example_is_a_load_and_shows_every_way_to_describe_one() -> None:
    load = load_of(table(EXAMPLE, "the example"))
    assert load.lasts_s == 3600
    assert load.workers == (4, 4)
    assert {type(stream.size) for stream in load.streams} == {Fixed, LogNormal, Pareto}
    shops, years, night = load.streams
    assert (shops.kind, shops.rate_per_hour, shops.customers, shops.error) == ("invoice.issue", 3600, 40, 0.5)
    assert (years.kind, years.without_checkpoints, years.size) == ("four years", 0.25, Pareto(1.1, 300.0, 7200.0))
    assert (night.at_once, night.begins_s, night.priority, night.size) == (400, 1200.0, Priority.BULK, Fixed(1.5))


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("300ms", 0.3), ("2s", 2.0), ("1.5 h", 5400.0), ("15m", 900.0), ("4D", 345_600.0),
        ("", None), ("5", None), ("-3s", None), ("1e9s", None), ("3 weeks", None), ("9" * 40 + "s", None),
    ],
)  # fmt: skip
def test_times_are_read_as_people_type_them(text: str, read: float | None) -> None:
    assert seconds(text) == (None if read is None else pytest.approx(read))


@pytest.mark.parametrize(
    ("stream", "place", "says"),
    [
        ('rate = 1, size = "2s"', "/stream/0/name", "required"),
        ('name = "a", rate = 1', "/stream/0/size", "required"),
        ('name = "a", size = "2s"', "/stream/0", "`rate`"),
        ('name = "a", rate = 1, size = "soon"', "/stream/0/size/fixed", "300ms"),
        ('name = "a", rate = 1, size = { fixed = "1s", pareto = { alpha = 1, least = 1, most = 2 } }', "/stream/0/size",
         "one of `fixed`"),
        ('name = "a", rate = 1, size = { pareto = { alpha = 1.1, least = 9, most = 5 } }', "/stream/0/size/pareto",
         "larger than"),
        ('name = "a", rate = 1, size = "2s", prio = "urgent"', "/stream/0/prio", "no such field"),
        ('name = "a", rate = 1, size = "2s", priority = "asap"', "/stream/0/priority", "urgent"),
        ('name = "a", rate = -1, size = "2s"', "/stream/0/rate", "greater than or equal to 0"),
        ('name = "a", rate = inf, size = "2s"', "/stream/0/rate", "finite"),
        ('name = "a", rate = 1, size = "2s", without_checkpoints = 25', "/stream/0/without_checkpoints", "less than"),
        ('name = "a", rate = 1, size = true', "/stream/0/size/fixed", "time"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(stream: str, place: str, says: str) -> None:
    with pytest.raises(Problem) as refused:
        load_of(table(f"stream = [{{ {stream} }}]", "it"))
    assert refused.value.field == place
    assert says in refused.value.detail
    assert refused.value.remedy


def test_two_streams_of_one_name_are_refused_because_they_would_be_the_same_jobs() -> None:
    twice = '[[stream]]\nname = "a"\nrate = 1\nsize = 1\n' * 2
    with pytest.raises(Problem, match="same name"):
        load_of(table(twice, "it"))


@pytest.mark.parametrize("text", ["lasts = ", "= 3", "[" * 5000, "a = 1\na = 2"])
def test_what_is_no_toml_is_refused_with_where(text: str) -> None:
    with pytest.raises(Problem, match="is no TOML") as refused:
        table(text, "--load a.toml")
    assert refused.value.detail.startswith("--load a.toml")
    assert "--example" in refused.value.remedy
