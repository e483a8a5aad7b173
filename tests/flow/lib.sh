# lib.sh - what the flow tests share. Each test is a script that exits 0 when all held; it gets the
# program in $BRAID and works in a folder of its own.

set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BRAID=${BRAID:-$top/build/dev/braid}
BRAID=$(cd "$(dirname "$BRAID")" && pwd)/$(basename "$BRAID")
dir=$(mktemp -d "${TMPDIR:-/tmp}/braid-flow-XXXXXX")
checks=0

cleanup() {
    local left
    left=$(jobs -p)
    [ -z "$left" ] || kill -9 $left 2>/dev/null || true
    wait 2>/dev/null || true
    rm -rf "$dir"
}
trap cleanup EXIT

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

ok() {
    checks=$((checks + 1))
}

# expect WHAT PATTERN TEXT: TEXT matches the extended regular expression.
expect() {
    printf '%s\n' "$3" | grep -qE -- "$2" || fail "$1: expected /$2/ in: $3"
    ok
}

# same WHAT A B
same() {
    [ "$2" = "$3" ] || fail "$1: '$2' is not '$3'"
    ok
}

trajectory() {
    "$BRAID" status "$1" --json | sed -n 's/^ *"trajectory": *"\([0-9a-f]*\)".*/\1/p' | head -n 1
}

# study NAME EVALUATIONS [LIMIT]: a small study over the example models.
study() {
    cat >"$dir/$1.yaml" <<YAML
study: $1
seed: 7
models:
  base: $top/study/examples/models/base
  adder: $top/study/examples/models/adder
  reverser: $top/study/examples/models/reverser
merge:
  method: task_arithmetic
  base: base
  sources: [adder, reverser]
  layers: 2
  search: {weight: [0, 1.5]}
tasks:
  - {task: $top/study/examples/tasks/addition.yaml, metric: exact_match, limit: ${3:-80}}
  - {task: $top/study/examples/tasks/reversal.yaml, metric: exact_match, limit: ${3:-80}}
budget: {evaluations: $2}
YAML
}

search() {
    "$BRAID" search "$1" --listen 127.0.0.1:0 "${@:2}"
}

# fetch_modules SOURCE FOLDER: what the lock file of SOURCE names, fetched by npm into FOLDER of the build; once, and again
# when the lock file changes.
fetch_modules() {
    mkdir -p "$2"
    cmp -s "$1/package-lock.json" "$2/package-lock.json" && return
    cp "$1/package.json" "$2/"
    cp "$1/package-lock.json" "$2/fetched.json"
    (cd "$2" && mv fetched.json package-lock.json && npm ci --no-audit --no-fund --ignore-scripts --prefer-offline --silent) ||
        { rm -f "$2/package-lock.json"; fail "npm could not fetch $(basename "$1")"; }
}
