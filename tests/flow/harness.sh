#!/usr/bin/env bash
# A client that plays lm-evaluation-harness gets, over HTTP, the numbers that braid eval prints.
. "$(dirname "$0")/lib.sh"

examples=$top/study/examples
for task in addition reversal reading_choice; do
    "$BRAID" eval "$examples/models/adder" "$examples/tasks/$task.yaml" --json --documents >"$dir/$task.json" || fail "eval of $task"
done
"$BRAID" eval "$examples/models/adder" --serve 0 2>"$dir/serve.out" &
serving=$!
for _ in $(seq 100); do
    url=$(grep -oE 'http://127\.0\.0\.1:[0-9]+' "$dir/serve.out" | head -n 1) && [ -n "$url" ] && break
    sleep 0.1
done
[ -n "${url:-}" ] || fail "no address in: $(cat "$dir/serve.out")"
expect "it says how to call the harness" 'lm_eval --model local-completions .*add_bos_token=True' "$(cat "$dir/serve.out")"
node "$top/tests/flow/harness.mjs" "$url" "$examples/tasks" "$dir/addition.json" "$dir/reversal.json" "$dir/reading_choice.json" ||
    fail "the numbers over HTTP"
ok
kill -TERM "$serving"
wait "$serving" || fail "it did not end well"
ok
echo "$checks checks"
