"""What only a store of HPC events can tell: of jobs, of nodes, of causes. No Twisted in it, and no SQL."""
