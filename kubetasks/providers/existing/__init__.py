"""existing: a cluster that somebody else created, and whose nodes are not ours to reach."""
