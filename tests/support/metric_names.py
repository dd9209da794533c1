"""Every metric there is, with its kind, by who has it.

Sites have dashboards: none may go, or become something else.
"""

from __future__ import annotations

FIRST = {
    "ccstore_info": "gauge",
    "ccstore_uptime_seconds": "gauge",
    "ccstore_memory_bytes": "gauge",
    "ccstore_open_files_limit": "gauge",
    "ccstore_ready": "gauge",
}
BOOKS = {
    "ccstore_lines_received_total": "counter",
    "ccstore_lines_stored_total": "counter",
    "ccstore_lines_rejected_total": "counter",
    "ccstore_lines_dropped_total": "counter",
    "ccstore_lines_waiting": "gauge",
    "ccstore_fields_not_stored_total": "counter",
}
PORT = {
    "ccstore_receiver_refused_no_files_total": "counter",
    "ccstore_receiver_no_proxy_header_total": "counter",
    "ccstore_receiver_tls_failures_total": "counter",
}
HTTP = {
    **PORT,
    "ccstore_receiver_connections": "gauge",
    "ccstore_receiver_refused_connections_total": "counter",
    "ccstore_receiver_cut_connections_total": "counter",
    "ccstore_receiver_refused_bodies_total": "counter",
    "ccstore_receiver_requests_in_flight": "gauge",
    "ccstore_receiver_bad_requests_total": "counter",
    "ccstore_receiver_foreign_requests_total": "counter",
}
RECEIVERS = {
    "tcp": {
        "ccstore_receiver_connections": "gauge",
        "ccstore_receiver_refused_connections_total": "counter",
        "ccstore_receiver_hung_up_connections_total": "counter",
        "ccstore_receiver_pauses_total": "counter",
        **PORT,
    },
    "udp": {"ccstore_receiver_kernel_drops_total": "counter"},
    "http": HTTP,
    "eecpt": {
        **HTTP,
        "ccstore_receiver_jobs": "gauge",
        "ccstore_receiver_jobs_total": "unknown",
        "ccstore_receiver_processes": "gauge",
        "ccstore_receiver_processes_total": "unknown",
        "ccstore_receiver_jobs_crowded_out_total": "counter",
        "ccstore_receiver_phase_changes_total": "counter",
    },
    "nats": {
        "ccstore_receiver_connected": "gauge",
        "ccstore_receiver_reconnects_total": "counter",
        "ccstore_receiver_slow_consumer_total": "counter",
        "ccstore_receiver_pauses_total": "counter",
        "ccstore_receiver_acknowledged_total": "counter",
        "ccstore_receiver_redelivered_total": "counter",
        "ccstore_receiver_pending": "gauge",
    },
    "api": {
        **HTTP,
        "ccstore_receiver_exports": "gauge",
        "ccstore_receiver_loki_tails": "gauge",
        "ccstore_receiver_tails": "gauge",
    },
}
MANAGER = {
    "ccstore_manager_processed_total": "counter",
    "ccstore_manager_flushed_total": "counter",
    "ccstore_manager_write_batch_total": "counter",
    "ccstore_manager_timer_flushes_total": "counter",
    "ccstore_manager_query_flushes_total": "counter",
    "ccstore_manager_queries_total": "counter",
    "ccstore_manager_waiting": "gauge",
}
STORAGE = {
    "ccstore_storage_write_seconds_total": "counter",
    "ccstore_storage_waiting_limit": "gauge",
    "ccstore_storage_oldest_waiting_seconds": "gauge",
    "ccstore_storage_retention_seconds": "gauge",
    "ccstore_storage_next_expiry": "gauge",
}
SPOOL = {
    "ccstore_manager_spool_messages": "gauge",
    "ccstore_manager_spool_bytes": "gauge",
    "ccstore_manager_spool_max_bytes": "gauge",
    "ccstore_manager_spool_added_total": "counter",
    "ccstore_manager_spool_unreadable": "gauge",
    "ccstore_manager_spool_sent_total": "counter",
    "ccstore_manager_spool_expired_total": "counter",
    "ccstore_manager_spool_refused_total": "counter",
}
BACKEND = {
    "ccstore_backend_active_tables": "gauge",
    "ccstore_backend_writes_total": "counter",
    "ccstore_backend_queries_total": "counter",
    "ccstore_backend_deletes_total": "counter",
    "ccstore_backend_expired_total": "counter",
    "ccstore_backend_bytes": "gauge",
    "ccstore_backend_packed_total": "counter",
}
SQLITE = {
    "ccstore_backend_segments": "gauge",
    "ccstore_backend_free_bytes": "gauge",
    "ccstore_backend_journal_bytes": "gauge",
    "ccstore_backend_reserve_bytes": "gauge",
    "ccstore_backend_disk_bytes": "gauge",
    "ccstore_backend_disk_free_bytes": "gauge",
}
POSTGRES = {"ccstore_backend_settled": "counter", "ccstore_backend_partitions": "gauge"}
SENDERS = {
    "ccstore_senders_hosts": "gauge",
    "ccstore_senders_silent": "gauge",
    "ccstore_senders_skewed": "gauge",
    "ccstore_senders_worst_skew_seconds": "gauge",
    "ccstore_senders_known": "gauge",
    "ccstore_senders_left_out_total": "counter",
    "ccstore_senders_without_host_total": "counter",
}
