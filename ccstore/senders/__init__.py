"""Who sends: when each host was heard of last, how often it sends, and what its clock says."""
