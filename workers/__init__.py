"""What runs on a node: treatments, experts, scorers and encoders; no orchestration, no thresholds."""
