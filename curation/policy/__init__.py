"""Policies: rules over scores, how they decide, how they are calibrated, and what another one would change."""
