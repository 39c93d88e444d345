"""Long scenarios: the nights that a cluster must survive. ``make soak`` runs them.

Their modules are not called ``test_…``, so that ``make test`` leaves them out.
"""
