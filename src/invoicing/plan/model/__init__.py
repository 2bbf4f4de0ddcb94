"""The rules of planning: loads, changes to them, and what becomes of them in virtual time; pure, over plain values."""
