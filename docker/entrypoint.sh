#!/usr/bin/env bash
# What a container of the images does: `head` or `worker` starts a Ray node and stays with it, anything else is run as it
# stands. Options of `ray start` may follow `head` and `worker`, and win over those given here.
set -euo pipefail

fail() {
  echo "triptych: $*" >&2
  exit 2
}

check_token() {
  [ "${RAY_AUTH_MODE:-}" = token ] || return 0
  [ -z "${RAY_AUTH_TOKEN:-}" ] || return 0
  [ -n "${RAY_AUTH_TOKEN_PATH:-}" ] || fail "RAY_AUTH_MODE is token, so RAY_AUTH_TOKEN_PATH must name the file of the token"
  [ -s "$RAY_AUTH_TOKEN_PATH" ] || fail "RAY_AUTH_TOKEN_PATH: $RAY_AUTH_TOKEN_PATH is not there, cannot be read or is empty"
}

case "${1:-}" in
  head)
    shift
    check_token
    # No CPUs: a head that does no work is not the one that runs out of memory.
    exec ray start --head --block --disable-usage-stats --num-cpus=0 --port=6379 \
      --dashboard-host=0.0.0.0 --dashboard-port=8265 --metrics-export-port=8080 "$@"
    ;;
  worker)
    shift
    check_token
    [ -n "${RAY_HEAD:-}" ] || fail "RAY_HEAD must name the head as host:port, ray-head:6379 for one"
    exec ray start --block --disable-usage-stats --address="$RAY_HEAD" --metrics-export-port=8080 "$@"
    ;;
  "")
    fail "say what to run: head, worker, or a command such as: triptych --help"
    ;;
  *)
    exec "$@"
    ;;
esac
