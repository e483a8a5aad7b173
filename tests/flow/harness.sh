#!/usr/bin/env bash
# A client that plays lm-evaluation-harness gets, over HTTP, the numbers that braid eval prints.
. "$(dirname "$0")/lib.sh"

examples=$top/study/examples
for task in addition reversal reading_choice; do
    "$BRAID" eval "$examples/models/adder" "$examples/tasks/$task.yaml" --json --documents >"$dir/$task.json" || fail "eval of $task"
done
# serve MODEL NAME: leaves its address in $url, its process in $serving, what it says in NAME.out.
serve() {
    "$BRAID" eval "$1" --serve 0 2>"$dir/$2.out" &
    serving=$!
    for _ in $(seq 100); do
        url=$(grep -oE 'http://127\.0\.0\.1:[0-9]+' "$dir/$2.out" | head -n 1) && [ -n "$url" ] && break
        sleep 0.1
    done
    [ -n "${url:-}" ] || fail "no address in: $(cat "$dir/$2.out")"
}
cp -r "$examples/models/adder" "$dir/chatty"
printf '%s' '{{ bos_token }}{% for turn in messages %}{{ turn.content }}{% endfor %}' >"$dir/chatty/chat_template.jinja"
"$BRAID" eval "$dir/chatty" "$examples/tasks/addition.yaml" --chat --json --documents >"$dir/chat.json" || fail "eval --chat"
serve "$dir/chatty" chat
chatting=$serving chat_url=$url
expect "it says how to chat" 'lm_eval --model local-chat-completions .*/v1/chat/completions' "$(cat "$dir/chat.out")"
serve "$examples/models/adder" serve
expect "it says how to call the harness" 'lm_eval --model local-completions .*add_bos_token=True' "$(cat "$dir/serve.out")"
CHAT="$chat_url $dir/chat.json" node "$top/tests/flow/harness.mjs" "$url" "$examples/tasks" "$dir/addition.json" "$dir/reversal.json" "$dir/reading_choice.json" ||
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

# A log of generated texts: they are generated again, and each filter's verdicts are compared.
cat >"$dir/text.yaml" <<YAML
task: addition_log
output_type: generate_until
samples: text.jsonl
filters:
  - {name: strict, steps: [{regex: "^([0-9]+)$"}, take_first]}
  - {name: last, steps: [{regex: "[0-9]", group_select: -1}]}
YAML
for filter in strict last; do
    for id in 0 1; do
        answer=$([ $filter = last ] && echo 0.0 || echo 1.0)
        prompt=$([ $id = 0 ] && echo "6+61=" || echo "37+45=")
        text=$([ $id = 0 ] && echo 67 || echo 82)
        printf '{"doc_id": %s, "target": "%s", "filter": "%s", "arguments": {"gen_args_0": {"arg_0": "%s", "arg_1": {"until": ["\\n"], "max_gen_toks": 8}}}, "resps": [["%s"]], "exact_match": %s}\n' \
            $id $text $filter "$prompt" $text $answer
    done
done >"$dir/text.jsonl"
"$BRAID" eval "$examples/models/adder" "$dir/text.yaml" --compare "$dir/text.jsonl" >"$dir/log.out" 2>&1 || fail "$(cat "$dir/log.out")"
expect "texts and verdicts of a log are the same" '2 texts compared, 0 differ; 4 verdicts compared, 0 differ' "$(cat "$dir/log.out")"

# A rolling text longer than the context is one number in the log, several windows here.
printf 'task: rolling_log\noutput_type: loglikelihood_rolling\nsamples: rolling.jsonl\n' >"$dir/rolling.yaml"
printf '{"doc_id": 0, "filter": "none", "arguments": {"gen_args_0": {"arg_0": "%s"}}, "resps": [["-1.0"]]}\n' \
    "$(printf '12+34=46;%.0s' $(seq 100))" >"$dir/rolling.jsonl"
"$BRAID" eval "$examples/models/adder" "$dir/rolling.yaml" --compare "$dir/rolling.jsonl" >"$dir/log.out" 2>&1 || fail "$(cat "$dir/log.out")"
expect "the windows of a text are one number" '1 log-likelihoods compared' "$(cat "$dir/log.out")"

kill -TERM "$serving" "$chatting"
wait "$serving" "$chatting" || fail "it did not end well"
ok
echo "$checks checks"
