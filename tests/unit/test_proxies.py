"""What a proxy's own route dump says of the split."""

from typing import Any

import pytest

from rollout.proxies import gateway_weights, route_weights

HOST = "inception.models.svc.cluster.local"


def dump(route: dict[str, Any], host: str = HOST, port: int = 8501) -> dict[str, Any]:
    virtual_host = {
        "name": f"{host}:{port}",
        "domains": [host, f"{host}:{port}", "10.96.0.7"],
        "routes": [{"match": {"prefix": "/"}, "route": route}],
    }
    other = {"name": "allow_any", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "x"}}]}
    return {
        "configs": [
            {"route_config": {"name": "80", "virtual_hosts": [other]}},
            {"route_config": {"name": str(port), "virtual_hosts": [other, virtual_host]}},
        ]
    }


def cluster(subset: str, host: str = HOST, port: int = 8501) -> str:
    return f"outbound|{port}|{subset}|{host}"


def test_a_split_is_read_as_the_proxy_has_it() -> None:
    clusters = [{"name": cluster("v1"), "weight": 75}, {"name": cluster("v2"), "weight": 25}]
    assert route_weights(dump({"weighted_clusters": {"clusters": clusters}}), HOST, 8501) == {"v1": 75, "v2": 25}


def test_all_traffic_to_one_version_is_a_whole() -> None:
    assert route_weights(dump({"cluster": cluster("v1")}), HOST, 8501) == {"v1": 100}


def test_a_proxy_without_the_rule_shows_no_version() -> None:
    assert route_weights(dump({"cluster": cluster("")}), HOST, 8501) == {"": 100}


def test_a_proxy_that_never_heard_of_the_model_is_not_taken_for_one_at_zero() -> None:
    assert route_weights(dump({"cluster": cluster("v1")}), "resnet.models.svc.cluster.local", 8501) is None
    assert route_weights({}, HOST, 8501) is None


def test_the_grpc_ports_route_is_not_taken_for_the_rest_ports() -> None:
    assert route_weights(dump({"cluster": cluster("v1", port=8500)}, port=8500), HOST, 8501) is None


def test_a_route_that_leads_elsewhere_is_an_error() -> None:
    with pytest.raises(ValueError, match="leads to outbound"):
        route_weights(dump({"cluster": cluster("v1", host="evil.default.svc.cluster.local")}), HOST, 8501)


def gateway_dump() -> dict[str, Any]:
    def route(path: str, **clusters: int) -> dict[str, Any]:
        weighted = {"clusters": [{"name": name, "weight": weight} for name, weight in clusters.items()]}
        return {"match": {"safe_regex": path}, "route": {"weighted_clusters": weighted}}

    other = cluster("v1", host="resnet.models.svc.cluster.local")
    routes = [
        {"match": {"headers": []}, "route": {"cluster": cluster("v2")}},
        route("/v1/models/inception.*", **{cluster("v1"): 90, cluster("v2"): 10}),
        # by gRPC, as a proxy may have it in the moment before both are the same
        route("/tensorflow.serving.", **{cluster("v1", port=8500): 80, cluster("v2", port=8500): 20}),
        route("/v1/models/resnet.*", **{other: 100}),
    ]
    hosts = [
        {"name": "models.example.com:80", "domains": ["models.example.com", "models.example.com:80"], "routes": routes}
    ]
    return {"configs": [{"route_config": {"name": "http.80", "virtual_hosts": hosts}}]}


def test_a_gateways_split_is_the_models_own_and_not_a_matchs() -> None:
    assert gateway_weights(gateway_dump(), "models.example.com", HOST, 8501) == {"v1": 90, "v2": 10}
    resnet = "resnet.models.svc.cluster.local"
    assert gateway_weights(gateway_dump(), "models.example.com", resnet, 8501) == {"v1": 100}


def test_a_gateway_without_the_models_route_is_no_caller() -> None:
    assert gateway_weights(gateway_dump(), "models.example.com", "x.models.svc.cluster.local", 8501) is None
    assert gateway_weights(gateway_dump(), "other.example.com", HOST, 8501) is None
