"""What is known now: pool snapshot, load columns, in-flight ledger, cool-downs, prefix index."""
