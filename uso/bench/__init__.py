"""USO-Bench: what is drawn and measured, how figures come about, and how they are shown."""
