"""Who servers know in the tests."""

from __future__ import annotations

from slacker.server.auth import new_token

TOKEN, DIGEST = new_token("billing")
HTTP_TOKEN, HTTP_DIGEST = new_token("all")
KNOWN = {
    "tokens": {
        "billing": {"sha256": DIGEST, "namespaces": ["shop", "stock.*"]},
        "all": {"sha256": HTTP_DIGEST, "namespaces": ["*"]},
    },
    "certificates": {"billing.example": {"namespaces": ["shop"]}},
}
