"""The job: spec, plan, Ray Data graph, safe ingest, policy, commit, report and the command line."""
