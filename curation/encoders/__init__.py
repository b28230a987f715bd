"""What the nano encoders are fitted and measured on: works of the atelier."""
