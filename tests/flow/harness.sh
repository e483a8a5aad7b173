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

# The client's log, as the harness writes it, is a task with the very same numbers.
cat >"$dir/log.yaml" <<YAML
task: reading_log
output_type: multiple_choice
samples: samples_reading_choice.jsonl
metrics: [acc]
YAML
"$BRAID" eval "$examples/models/adder" "$dir/log.yaml" --compare "$dir/samples_reading_choice.jsonl" >"$dir/log.out" 2>&1 || fail "$(cat "$dir/log.out")"
expect "a log gives the same numbers" '480 log-likelihoods compared, mean difference 0, largest 0 .*, 0 predictions differ' "$(cat "$dir/log.out")"
"$BRAID" eval "$examples/models/base" "$dir/log.yaml" --compare "$dir/samples_reading_choice.jsonl" >"$dir/log.out" 2>&1 || fail "$(cat "$dir/log.out")"
expect "another model differs" 'compared, mean difference [1-9]|compared, mean difference 0\.[0-9]*[1-9]' "$(cat "$dir/log.out")"

kill -TERM "$serving"
wait "$serving" || fail "it did not end well"
ok
echo "$checks checks"
