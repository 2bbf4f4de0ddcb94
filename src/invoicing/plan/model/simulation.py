"""A load on a fleet under the policy, in virtual time: the functions that decide are those that decide in the service."""

from invoicing.plan.model.work import Death, Ended, Fleet, Outcome, Work

__all__ = ["Death", "Ended", "Fleet", "Outcome", "Work"]
