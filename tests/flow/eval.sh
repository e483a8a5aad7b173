#!/usr/bin/env bash
# braid eval: a table with counts and errors, progress, and partial results when it is stopped.
. "$(dirname "$0")/lib.sh"

examples=$top/study/examples
"$BRAID" eval "$examples/models/adder" "$examples/tasks/addition.yaml" >"$dir/table.txt" 2>"$dir/progress.txt" || fail "eval"
expect "the table has counts and standard errors" '^ *addition +exact_match +800 +0\.9[0-9]+ +0\.00[0-9]+' "$(cat "$dir/table.txt")"
expect "progress tells what is left" 'addition: [0-9]+ of 800 documents, .* left' "$(cat "$dir/progress.txt")"

expect "what it takes is said first" '^[0-9]+ positions, the model whole in at most [0-9.]+ MiB$' "$(head -n 1 "$dir/progress.txt")"

# A layer at a time, to the same numbers; only the plan differs.
numbers() {
    "$BRAID" eval "$examples/models/adder" "$examples"/tasks/{addition,reversal_choice}.yaml --json --documents "$@" 2>"$dir/streamed.err" | sed '/"plan"/,$d'
}
same "the numbers of a streamed run" "$(numbers)" "$(numbers --memory 6MiB)"
expect "it says how often layers are made" '[0-9]+ positions, a layer at a time in at most [0-9.]+ MiB of 6.0 MiB; every layer is made [0-9]+ times? for what is scored' "$(cat "$dir/streamed.err")"
expect "and which layer it is at" 'layer [0-9]+ of 6, [0-9]+ of [0-9]+ documents done: [0-9]+ %, .* left' "$(cat "$dir/streamed.err")"

# In chat mode a model is asked by its own template: one that only strings the turns together asks the plain questions.
cp -r "$examples/models/adder" "$dir/chatty"
printf '%s' '{{ bos_token }}{% for turn in messages %}{{ turn.content }}{% endfor %}' >"$dir/chatty/chat_template.jinja"
of() {
    "$BRAID" eval "$1" "$examples/tasks/addition.yaml" --json --documents "${@:2}" 2>"$dir/chat.err" | sed -n '/"documents"/,$p'
}
same "the numbers of plain turns" "$(of "$dir/chatty")" "$(of "$dir/chatty" --chat)"
printf '%s' '{% for turn in messages %}<{{ turn.role }}>{{ turn.content }}{% endfor %}<assistant>' >"$dir/chatty/chat_template.jinja"
[ "$(of "$dir/chatty")" != "$(of "$dir/chatty" --chat)" ] || fail "another template asks otherwise"
printf '%s' '{% for turn in messages %}{{ turn.content|wordwrap }}{% endfor %}' >"$dir/chatty/chat_template.jinja"
of "$dir/chatty" --chat || true
expect "what a template trips over is named" 'addition.yaml: chat: .*/chatty/chat_template.jinja: chat template: line 1: the filter wordwrap is not supported' "$(cat "$dir/chat.err")"
of "$examples/models/adder" --chat || true
expect "so is a model without one" 'chat: .*/models/adder: no chat template' "$(cat "$dir/chat.err")"

# stopped ARGUMENT...: an eval of minutes, stopped when it has shown progress; prints its exit code.
many=()
cp "$examples"/tasks/*.jsonl "$dir"
for i in 1 2 3 4 5 6; do
    for task in "$examples"/tasks/*.yaml; do
        sed "s/^task: .*/&_$i/" "$task" >"$dir/$i-$(basename "$task")"
        many+=("$dir/$i-$(basename "$task")")
    done
done
stopped() {
    "$BRAID" eval "$examples/models/adder" "${many[@]}" "$@" >"$dir/part.txt" 2>"$dir/part.err" &
    local running=$! code=0
    for _ in $(seq 100); do
        grep -q left "$dir/part.err" && break
        sleep 0.1
    done
    kill -INT "$running"
    wait "$running" || code=$?
    echo "$code"
}
same "a stopped eval's exit code" 3 "$(stopped)"
expect "its table counts what is done" '[0-9]+ of [0-9]+' "$(cat "$dir/part.txt")"
expect "and says that it is partial" 'partial' "$(cat "$dir/part.err")"
same "the same with --json" 3 "$(stopped --json)"
expect "the object says so too" '"partial": true' "$(cat "$dir/part.txt")"
echo "$checks checks"
