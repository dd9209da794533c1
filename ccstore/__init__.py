"""A short-term store for the job events, system events and logs of HPC clusters."""

__version__ = "0.2.0"
