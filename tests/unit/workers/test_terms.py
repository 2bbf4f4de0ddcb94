"""What a worker offers: slots, and places aside for what gives way."""

from invoicing.jobs.model import Size
from workers.terms import Terms


def test_what_outlived_its_class_finds_a_place_aside_when_those_for_others_are_taken() -> None:
    """Or one that hangs would keep the spare slot for as long as it may run."""
    terms = Terms(2)
    assert terms.most_aside(outlived=False) == 4
    assert terms.most_aside(outlived=True) >= 4 + terms.children


def test_nothing_starts_once_all_places_of_a_worker_are_taken() -> None:
    terms = Terms(2)
    most = terms.children + terms.most_aside(outlived=True)
    assert terms.left({}, most - 1)[Size.SMALL] == 1
    assert terms.left({}, most)[Size.SMALL] == 0
