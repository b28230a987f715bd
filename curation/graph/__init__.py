"""The Ray Data graph of a job: stages as pure objects, and the adapter that runs them on Ray."""
