#!/usr/bin/env bash
# Make the secrets that compose.yaml mounts: a token for Ray, a user of the object store, Grafana's password. What is
# there stays as it is. Usage: docker/make-secrets.sh [FOLDER], by default secrets/ beside this script.
set -euo pipefail

folder=${1:-$(dirname "$0")/secrets}
mkdir -p "$folder"
# Containers run as other users and must read the files, so the folder is what keeps others on this machine out.
chmod 700 "$folder"

random() { head -c "$1" /dev/urandom | od -An -v -tx1 | tr -d ' \n'; }
absent() { [ ! -e "$folder/$1" ] && echo "made $folder/$1"; }

if absent ray_token; then random 32 >"$folder/ray_token"; fi
if absent grafana_password; then random 16 >"$folder/grafana_password"; fi

# One user in two forms: as boto3 and Delta read it, and as SeaweedFS does.
if [ ! -e "$folder/aws_credentials" ] || [ ! -e "$folder/s3.json" ]; then
  key=triptych$(random 6) secret=$(random 32)
  printf '[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n' "$key" "$secret" >"$folder/aws_credentials"
  printf '{"identities": [{"name": "triptych", "credentials": [{"accessKey": "%s", "secretKey": "%s"}], "actions": %s}]}\n' \
    "$key" "$secret" '["Admin", "Read", "List", "Tagging", "Write"]' >"$folder/s3.json"
  echo "made $folder/aws_credentials and $folder/s3.json"
fi
chmod 644 "$folder"/*
