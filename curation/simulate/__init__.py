"""Planning a job before renting machines for it: a simulation of its graph, and the same graph on Ray, asleep."""
