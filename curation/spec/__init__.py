"""The job spec: what a curation job is asked for, validated before any work starts."""
