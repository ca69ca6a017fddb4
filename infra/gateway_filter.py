"""What the ingress gateway's proxies do beside routing, as an EnvoyFilter's spec: headers, and the size of a request.

Pure: no Pulumi import. Istio has no API of its own for either.

A request that says it is too long is refused before any of it is taken. Every other is held until it is whole or too
long, in the gateway's memory: there is no other way to answer 413 and to have sent nothing on. To hold only those that
do not say their length would need Envoy's matching of filters, which Istio's build of Envoy lacks.
"""

import json
from typing import Any, Final

from infra import naming

_HSTS: Final = "max-age=31536000"
_HTTP: Final = "type.googleapis.com/envoy.extensions.filters.http"
_CONNECTIONS: Final = "envoy.filters.network.http_connection_manager"
_RESOURCE_EXHAUSTED: Final = "8"  # of gRPC
# Of these a caller may set none: they say whose certificate a caller has, and steer timeouts, retries and tracing.
_OURS: Final = ("x-forwarded-client-cert",)
_PREFIX_OF_OURS: Final = "x-envoy-"


def gateway_filter(max_request_bytes: int, *, is_encrypted: bool) -> dict[str, Any]:
    """Return the EnvoyFilter's spec.

    Args:
        max_request_bytes: of a request's body; a longer one is answered 413.
        is_encrypted: whether answers come by https, and callers are told to come by nothing else from then on.
    """
    first = [_length(max_request_bytes), _headers()] + ([_strict_transport()] if is_encrypted else [])
    return {
        "workloadSelector": {"labels": naming.gateway_selector()},
        # Each is put before all that are there, so the last comes first and sees every answer.
        "configPatches": [_own_answers(), _buffer(max_request_bytes), *first],
    }


def _filter(name: str, config: dict[str, Any], port: int | None = None) -> dict[str, Any]:
    listener = {"filterChain": {"filter": {"name": _CONNECTIONS}}}
    return {
        "applyTo": "HTTP_FILTER",
        "match": {"context": "GATEWAY", "listener": listener | ({"portNumber": port} if port else {})},
        "patch": {
            "operation": "INSERT_FIRST",
            "value": {"name": f"{naming.PROJECT}.{name}", "typed_config": config},
        },
    }


def _headers() -> dict[str, Any]:
    def gone(*names: str) -> list[dict[str, Any]]:
        by_prefix = {"remove_on_match": {"key_matcher": {"prefix": _PREFIX_OF_OURS}}}
        return [by_prefix, *({"remove": name} for name in names)]

    mutations = {
        "request_mutations": gone(*_OURS),
        "response_mutations": [*gone("server"), {"append": _header("x-content-type-options", "nosniff")}],
    }
    return _filter("headers", {"@type": f"{_HTTP}.header_mutation.v3.HeaderMutation", "mutations": mutations})


def _strict_transport() -> dict[str, Any]:
    mutations = {"response_mutations": [{"append": _header("strict-transport-security", _HSTS)}]}
    config = {"@type": f"{_HTTP}.header_mutation.v3.HeaderMutation", "mutations": mutations}
    return _filter("strict-transport", config, port=443)  # in the clear it would count for nothing (RFC 6797, 7.2)


def _header(name: str, value: str) -> dict[str, Any]:
    return {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


def _own_answers() -> dict[str, Any]:
    manager = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    # By gRPC 413 would be UNKNOWN, which callers and figures take for a failure of the server.
    is_long = {"comparison": {"value": {"default_value": 413, "runtime_key": f"{naming.PROJECT}.too_long"}}}
    is_grpc = {"name": "content-type", "string_match": {"prefix": "application/grpc"}}
    too_long = {"and_filter": {"filters": [{"status_code_filter": is_long}, {"header_filter": {"header": is_grpc}}]}}
    config = {
        "@type": f"type.googleapis.com/{manager}",
        # The name of the proxy is put on answers after all filters, so it is kept off and not taken off.
        "server_header_transformation": "PASS_THROUGH",
        "local_reply_config": {
            "mappers": [{"filter": too_long, "headers_to_add": [_header("grpc-status", _RESOURCE_EXHAUSTED)]}]
        },
    }
    return {
        "applyTo": "NETWORK_FILTER",
        "match": {"context": "GATEWAY", "listener": {"filterChain": {"filter": {"name": _CONNECTIONS}}}},
        "patch": {"operation": "MERGE", "value": {"name": _CONNECTIONS, "typed_config": config}},
    }


def _length(most: int) -> dict[str, Any]:
    answer = json.dumps({"error": f"a request has at most {most} bytes"})
    code = f"""\
function envoy_on_request(request)
  local length = request:headers():get("content-length")
  if length and tonumber(length) > {most} then
    request:respond({{[":status"] = "413", ["content-type"] = "application/json"}}, '{answer}')
  end
end
"""
    return _filter("length", {"@type": f"{_HTTP}.lua.v3.Lua", "default_source_code": {"inline_string": code}})


def _buffer(most: int) -> dict[str, Any]:
    return _filter("buffer", {"@type": f"{_HTTP}.buffer.v3.Buffer", "max_request_bytes": most})
