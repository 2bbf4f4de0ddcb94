"""What an e-invoice is: its terms, sums, rules and the files it is issued as."""
