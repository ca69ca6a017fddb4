#!/usr/bin/env bash
# Brings a stack to what the checkout says, and keeps what was shown:
#
#     up.sh STACK LOG
set -euo pipefail
pulumi up --stack "$1" --yes --policy-pack policy --diff --color never --suppress-progress 2>&1 | tee "$2"
