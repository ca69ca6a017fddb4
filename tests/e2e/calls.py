"""TF Serving's API by gRPC: messages written by hand, and calls from this machine, which is outside the cluster."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

import grpc  # type: ignore[import-untyped]

from infra.naming import MODEL_HEADER
from tests.e2e.conftest import ANSWERS

PREDICT = "/tensorflow.serving.PredictionService/Predict"
STATUS = "/tensorflow.serving.ModelService/GetModelStatus"
RELOAD = "/tensorflow.serving.ModelService/HandleReloadConfigRequest"
OK = 0
NO_METADATA: Mapping[str, str] = MappingProxyType({})


def message(model: str, method: str = PREDICT) -> bytes:
    """What asks a model for a prediction of 1.0, or another method about it."""
    spec = field(1, field(1, model.encode()))
    tensor = b"\x08\x01" + field(2, field(2, b"\x08\x01")) + field(5, struct.pack("<f", 1))
    return spec + field(2, field(1, b"x") + field(2, tensor)) if method == PREDICT else spec


def field(number: int, content: bytes) -> bytes:
    """A field of a protobuf message that holds a text, or another message."""
    return bytes([number << 3 | 2, len(content)]) + content


def answered(prediction: bytes, model: str) -> str:
    """Return which version of a model made a prediction; the answer says itself which model's it is."""
    assert field(1, model.encode()) in prediction, prediction
    (version,) = [version for version, right in ANSWERS.items() if struct.pack("<f", right) in prediction]
    return version


@contextmanager
def channel(gateway: str, host: str, root: str = "") -> Iterator[grpc.Channel]:
    """Make a connection to a gateway, that is kept between calls.

    Args:
        gateway: its address.
        host: which of its hosts to ask for.
        root: PEM, what is trusted; without it calls go in the clear.
    """
    options = [("grpc.enable_http_proxy", 0), ("grpc.enable_retries", 0)]
    if root:
        named = [*options, ("grpc.ssl_target_name_override", host)]
        made = grpc.secure_channel(f"{gateway}:443", grpc.ssl_channel_credentials(root.encode()), named)
    else:
        made = grpc.insecure_channel(f"{gateway}:80", [*options, ("grpc.default_authority", host)])
    with made:
        yield made


def call(
    through: grpc.Channel,
    model: str,
    method: str = PREDICT,
    *,
    named: str | None = "",
    metadata: Mapping[str, str] = NO_METADATA,
    content: bytes = b"",
) -> tuple[int, bytes]:
    """Make a call.

    Args:
        through: what `channel` made.
        model: the one that the message is for.
        method: its path.
        named: the model that the header names, if another; None leaves the header out.
        metadata: more headers.
        content: what to send, if not `message`.

    Returns:
        gRPC's status, and the answer.
    """
    sent = dict(metadata) | ({} if named is None else {MODEL_HEADER: named or model})
    try:
        asked = content or message(model, method)
        return OK, through.unary_unary(method)(asked, timeout=10, metadata=tuple(sent.items()))
    except grpc.RpcError as error:
        return int(error.code().value[0]), b""
