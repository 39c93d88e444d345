"""kazoo's own tests, as they ship in its wheel, against the embedded server.

``python -m tests.integration.kazoo_suite`` runs them; ``tests/integration/test_kazoo_suite.py`` does so in
processes of their own, as they block, and leave threads behind.
"""
