"""The interface of Loki, for Grafana and for what else speaks to one."""
