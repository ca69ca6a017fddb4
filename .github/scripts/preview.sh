#!/usr/bin/env bash
# Previews a stack for its pull request and ends with the preview's exit code:
#
#     preview.sh STACK JSON COMMENT
#
# JSON gets what the engine would do, as events, which unlike the plain document tell why a preview fails. COMMENT gets
# the review of it; of a preview that did not even begin, what was said instead.
set -euo pipefail
stack=$1 json=$2 comment=$3

mkdir -p "$(dirname "$comment")"
log=$(mktemp)
code=0
PULUMI_ENABLE_STREAMING_JSON_PREVIEW=true \
  pulumi preview --stack "$stack" --policy-pack policy --json >"$json" 2>"$log" || code=$?
cat "$log" >&2
if .venv/bin/python -m rollout review --stack "$stack" --output "$comment" "$json"; then
  exit "$code"
fi
tail -c 20000 "$log" | tail -n 80 | sed 's/^/    /' >>"$comment" # indented, so that no text in it can end the code block
exit "$((code ? code : 1))"
