#!/usr/bin/env bash
# Compares a stack with what is really there:
#
#     drift.sh STACK FILE
#
# FILE is empty when nothing differs, and has the differences otherwise. When the comparison itself fails, there is no
# FILE, and the exit code is the preview's.
set -euo pipefail
stack=$1 file=$2

mkdir -p "$(dirname "$file")"
log=$(mktemp)
code=0
pulumi preview --stack "$stack" --refresh --expect-no-changes --diff --color never 2>&1 | tee "$log" || code=$?
case $code in
  0) : >"$file" ;;
  7) cp "$log" "$file" ;; # the exit code for changes where none were expected
  *) exit "$code" ;;
esac
