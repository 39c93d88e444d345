"""Long scenarios: the nights that a cluster must survive. ``make soak`` runs them."""
