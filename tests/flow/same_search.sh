#!/usr/bin/env bash
# One worker, two workers, another folder: the same search, bit for bit. A finished search says so.
. "$(dirname "$0")/lib.sh"

study one 24
mkdir "$dir/elsewhere"
sed 's/^study: one/study: one/' "$dir/one.yaml" >"$dir/elsewhere/two.yaml"

search "$dir/one.yaml" --workers 1 >"$dir/one.out" 2>&1 || fail "one worker: $(tail -n 3 "$dir/one.out")"
search "$dir/elsewhere/two.yaml" --workers 2 >"$dir/two.out" 2>&1 || fail "two workers: $(tail -n 3 "$dir/two.out")"
want=$(trajectory "$dir/one.db")
expect "a trajectory" '^[0-9a-f]{64}$' "$want"
same "trajectory with two workers in another folder" "$want" "$(trajectory "$dir/elsewhere/two.db")"

again=$(search "$dir/one.yaml" 2>&1) || fail "a finished search started again does not exit with 0"
expect "a finished search says so" 'finished' "$again"
echo "$checks checks"
