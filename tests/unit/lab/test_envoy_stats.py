"""Answers of Envoy's admin interface, as its version 1.40 writes them."""

from epp.lab.envoy_stats import ClusterStatus, HostStatus, decode_clusters, decode_listeners, decode_stats


def test_counters_and_gauges_are_kept_and_histograms_and_texts_are_not() -> None:
    body = b"""{"stats":[{"name":"server.live","value":1},{"name":"server.version","value":"9e5580"},
        {"name":"a.share","value":0.5},
        {"histograms":{"supported_quantiles":[0,25],"computed_quantiles":[{"name":"x","values":[]}]}}]}"""
    assert decode_stats(body) == {"server.live": 1, "a.share": 0.5}


def test_no_match_is_an_empty_table() -> None:
    assert decode_stats(b'{"stats":[]}') == {}


def test_listeners_report_the_ports_that_the_system_chose() -> None:
    body = b"""{"listener_statuses":[
        {"name":"models","local_address":{"socket_address":{"address":"127.0.0.1","port_value":40000}}},
        {"name":"local","local_address":{"pipe":{"path":"/run/envoy.sock"}}}]}"""
    assert decode_listeners(body) == {"models": ("127.0.0.1", 40000), "local": ("", 0)}


def test_clusters_report_their_endpoints_and_who_is_ejected() -> None:
    body = b"""{"cluster_statuses":[{"name":"pool","host_statuses":[
        {"address":{"socket_address":{"address":"10.0.0.1","port_value":8000}},
         "stats":[{"name":"cx_connect_fail"},{"value":"12","name":"rq_total"},{"type":"GAUGE","name":"rq_active"}],
         "health_status":{"failed_outlier_check":true,"eds_health_status":"HEALTHY"}, "weight":1},
        {"address":{"socket_address":{"address":"10.0.0.2","port_value":8000}},
         "health_status":{"eds_health_status":"HEALTHY"}}]},
        {"name":"empty"}]}"""
    counted = {"cx_connect_fail": 0, "rq_total": 12, "rq_active": 0}
    assert decode_clusters(body) == (
        ClusterStatus("pool", (HostStatus("10.0.0.1", 8000, True, counted), HostStatus("10.0.0.2", 8000, False, {}))),
        ClusterStatus("empty", ()),
    )
