"""kazoo's own tests, as they ship in its wheel, against the embedded server.

``tests/integration/test_kazoo_suite.py`` runs them in processes of their own: they block, and leave threads.
"""
