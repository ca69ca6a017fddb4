#!/usr/bin/env bash
# Previews a stack for its pull request and ends with the preview's exit code:
#
#     preview.sh STACK JSON COMMENT
#
# JSON gets what the engine would do, COMMENT the review of it; when the preview fails, COMMENT says why.
set -euo pipefail
stack=$1 json=$2 comment=$3

mkdir -p "$(dirname "$comment")"
code=0
pulumi preview --stack "$stack" --policy-pack policy --json >"$json" || code=$?
if [ "$code" = 0 ]; then
  .venv/bin/python -m rollout review --stack "$stack" --output "$comment" "$json"
  exit 0
fi

# The JSON names neither the policies that were violated nor why the program failed; the text does.
log=$(mktemp)
pulumi preview --stack "$stack" --policy-pack policy --diff --color never 2>&1 | tee "$log" || true
{
  echo "<!-- tfserving-mesh review: $stack -->"
  echo "### \`$stack\`: the preview failed"
  echo
  tail -c 20000 "$log" | tail -n 80 | sed 's/^/    /' # indented, so that no text in it can end the code block
} >"$comment"
exit "$code"
