"""The skill of experts, measured on held-out subjects beside what costs nothing and what is true."""
