"""The bench at work: sets from the atelier, drawing and measuring on Ray, and what comes out of it."""
