"""The key with which Auth signs its tokens, and the public half by which others verify them (PROTOCOL §5)."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from phrasim.auth.deployed.development_key import DEVELOPMENT_KEY

ALGORITHM = "RS256"
"""RSA with SHA-256 (RFC 7518, §3.3): the same claims give the same signature."""

_BITS = 2048
_EXPONENT = 65537


@dataclass(frozen=True, slots=True)
class SigningKey:
    """An RSA key. Tokens name it (`kid`) by its `id`, which is its thumbprint (RFC 7638); Keycloak makes up another."""

    private: RSAPrivateKey = field(repr=False)
    id: str

    @classmethod
    def fresh(cls) -> "SigningKey":
        """A key that nobody else has, for landscapes that are served; it takes some tenths of a second to make."""
        return cls._named(generate_private_key(_EXPONENT, _BITS))

    @classmethod
    @cache
    def development(cls) -> "SigningKey":
        """The key that anybody has, for runs whose chance comes from a seed: the same run gives the same tokens.

        Reading it costs 50 ms, since it is checked.
        """
        key = load_pem_private_key(DEVELOPMENT_KEY.encode(), password=None)
        assert isinstance(key, RSAPrivateKey), "the development key is an RSA key"
        return cls._named(key)

    def signed(self, claims: Mapping[str, Any]) -> str:
        """A token that says this."""
        return jwt.encode(dict(claims), self.private, ALGORITHM, headers={"kid": self.id})

    def public(self) -> dict[str, str]:
        """The public half, as a list of keys shows it (RFC 7517, §4; RFC 7518, §6.3.1)."""
        return {"kid": self.id, **_public(self.private), "alg": ALGORITHM, "use": "sig"}

    @classmethod
    def _named(cls, key: RSAPrivateKey) -> "SigningKey":
        thumbprint = hashlib.sha256(msgspec.json.encode(_public(key), order="sorted")).digest()
        return cls(key, _base64url(thumbprint))


def _public(key: RSAPrivateKey) -> dict[str, str]:
    numbers = key.public_key().public_numbers()
    return {"kty": "RSA", "n": _unsigned(numbers.n), "e": _unsigned(numbers.e)}


def _unsigned(number: int) -> str:
    """A number as RFC 7518, §2 writes it: its bytes, the highest first, without any that are needless."""
    return _base64url(number.to_bytes((number.bit_length() + 7) // 8, "big"))


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
