"""Keys and roles."""

import pytest

from invoicing.customers.model import STAFF, Principal, Role, fingerprint, hint, new_key
from invoicing.kit.ids import new_id


@pytest.mark.parametrize("role", Role)
def test_a_key_says_what_it_is_for_and_its_hint_does_not_give_it_away(role: Role) -> None:
    keys = {new_key(role) for _ in range(100)}
    assert len(keys) == 100
    for key in keys:
        assert key.startswith(f"inv_{role}_")
        assert hint(key).startswith(f"inv_{role}_")
        assert key.startswith(hint(key))
        assert len(key) - len(hint(key)) >= 38  # of 43 characters of 6 bits each
        assert key.encode() not in fingerprint(key)
        assert len(fingerprint(key)) == 32


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("allowed", Role)
def test_a_role_may_do_its_own_and_an_admin_what_any_of_our_staff_may(role: Role, allowed: Role) -> None:
    principal = Principal(new_id(), role, "somebody")
    expected = role is allowed or (role is Role.ADMIN and allowed in STAFF)
    assert principal.may_act_as(frozenset({allowed})) is expected


def test_an_admin_may_not_act_as_a_customer() -> None:
    assert not Principal(new_id(), Role.ADMIN, "boss").may_act_as(frozenset({Role.CUSTOMER}))
