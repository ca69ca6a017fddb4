"""An issuer of tokens, played by the tests: its public keys as JSON, and tokens that it signs (RFC 7519, RS256)."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256


class Issuer:
    """Somebody who signs tokens with a key of their own."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._key = generate_private_key(65537, 2048)

    def key_set(self) -> str:
        """Return the public key as a JSON Web Key Set."""
        numbers = self._key.public_key().public_numbers()
        parts = {"n": _encoded(numbers.n.to_bytes(256)), "e": _encoded(numbers.e.to_bytes(3))}
        return json.dumps({"keys": [{"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "1", **parts}]})

    def token(self, audience: str, *, seconds: float = 600, **claims: Any) -> str:
        """Return a token for an audience that ends in so many seconds, or has ended so long ago."""
        body = {"iss": self.name, "sub": "somebody", "aud": audience, "exp": int(time.time() + seconds), **claims}
        parts = [_encoded(json.dumps(part).encode()) for part in ({"alg": "RS256", "kid": "1", "typ": "JWT"}, body)]
        signed = ".".join(parts)
        return f"{signed}.{_encoded(self._key.sign(signed.encode(), PKCS1v15(), SHA256()))}"


def _encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).decode().rstrip("=")
