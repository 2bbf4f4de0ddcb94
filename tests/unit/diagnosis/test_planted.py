"""Whatever is the matter, alone or with something else, in thousands of situations: it is found and named first."""

from collections import Counter

from invoicing.diagnosis.model.causes import examine, foremost
from invoicing.diagnosis.model.check import Code
from invoicing.diagnosis.words import Audience, languages, tell

from .planted import planted
from .plants import KITS

SITUATIONS = 10_000


def test_in_ten_thousand_situations_the_planted_cause_is_named_first() -> None:
    wrong, met = [], Counter[Code]()
    for seed in range(SITUATIONS):
        built = planted(seed)
        check = foremost(built.facts, examine(built.facts))
        assert check is not None
        met.update(built.names)
        if check.code is not built.expected:
            wrong.append((seed, built.names, built.expected, check.code))
    assert wrong == []
    assert set(met) == {plant.code for kit, _ in KITS for plant in kit} == set(Code)
    assert min(met.values()) > SITUATIONS / 100


def test_every_planted_cause_is_told_in_every_language_to_everybody() -> None:
    for seed in range(300):
        built = planted(seed)
        check = foremost(built.facts, examine(built.facts))
        assert check is not None
        for language in languages():
            customer, staff = (tell(check, language, audience) for audience in Audience)
            assert all((customer.message, customer.next, customer.who, staff.who))
            assert (customer.message, customer.next) == (staff.message, staff.next)
