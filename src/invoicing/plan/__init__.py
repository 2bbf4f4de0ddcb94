"""What if: the policy itself, in virtual time, over the ledger's own history or a load that somebody describes."""
