#!/usr/bin/env bash
# Healthy is a container whose Ray node is: its agent answers for the raylet, without a token.
set -euo pipefail
exec wget --quiet --timeout=4 --tries=1 --output-document=/dev/null \
  "http://127.0.0.1:${RAY_AGENT_PORT:-52365}/api/local_raylet_healthz"
