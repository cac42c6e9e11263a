#!/usr/bin/env bash
# Looks through the templates and policies here: cfn-lint (pinned in lint-requirements.txt, installed the first time) for what
# CloudFormation would refuse, lint.py for what Bonded promises. Ends with 1 on any breach.
# Without Python or the registry it says so and ends well. Another folder may be named.
#
#   BONDED_STACK_PACKAGES    where cfn-lint lies    (default: bonded/stacks in the user's cache folder)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-$here}
packages=${BONDED_STACK_PACKAGES:-${XDG_CACHE_HOME:-$HOME/.cache}/bonded/stacks}/lint

python3 -c 'import venv, ensurepip' 2>/dev/null || { echo "skipped: Python 3 with venv is not installed"; exit 0; }
if ! cmp -s "$here/lint-requirements.txt" "$packages/installed.txt"; then
    rm -rf "$packages"
    mkdir -p "$packages"
    python3 -m venv "$packages"
    "$packages/bin/pip" install --quiet -r "$here/lint-requirements.txt" || { echo "skipped: the package registry does not answer"; exit 0; }
    cp "$here/lint-requirements.txt" "$packages/installed.txt"
fi

failed=0
"$packages/bin/cfn-lint" -r us-east-1 us-west-2 -t "$folder"/*.yaml || failed=1
PYTHONDONTWRITEBYTECODE=1 "$packages/bin/python" "$here/lint.py" "$folder" || failed=1
exit $failed
