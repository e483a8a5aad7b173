#!/usr/bin/env bash
# Bad input gets one line that names the thing, a nonzero exit, and leaves nothing half-written.
. "$(dirname "$0")/lib.sh"

models=$top/study/examples/models

# refused WHAT STATUS PATTERN COMMAND...: exits with STATUS, says PATTERN on one line.
refused() {
    local what=$1 status=$2 pattern=$3 out rc=0
    shift 3
    out=$("$@" 2>&1 </dev/null) || rc=$?
    same "$what: exit status (said: $out)" "$status" "$rc"
    expect "$what" "$pattern" "$out"
    [ "$(printf '%s\n' "$out" | wc -l)" -le 2 ] || fail "$what: more than a line: $out"
}

edit() { # edit NAME SED: a study made from the good one
    study good 12 20
    sed -E "$2" "$dir/good.yaml" >"$dir/$1.yaml"
}

edit key 's/^merge:/mergee:/'
refused "unknown study key" 1 'mergee.*merge' "$BRAID" check "$dir/key.yaml"
edit method 's/task_arithmetic/task_aritmetic/'
refused "unknown method" 1 'task_aritmetic.*task_arithmetic' "$BRAID" check "$dir/method.yaml"
edit tight 's/^merge:/evaluator: {memory: 1MiB}\nmerge:/'
refused "memory that holds no layer" 1 'evaluator.memory.*a candidate takes' "$BRAID" check "$dir/tight.yaml"
edit missing "s#examples/models/adder#examples/models/nobody#"
refused "missing model" 1 'nobody' "$BRAID" check "$dir/missing.yaml"
refused "missing study" 1 'nothing.yaml' "$BRAID" search "$dir/nothing.yaml"
[ ! -e "$dir/nothing.db" ] || fail "a database was left behind"

cp -r "$models/adder" "$dir/short"
chmod -R u+w "$dir/short"
head -c 400000 "$models/adder/model.safetensors" >"$dir/short/model.safetensors"
edit short "s#$models/adder#$dir/short#"
refused "truncated safetensors" 1 'short/model.safetensors' "$BRAID" search "$dir/short.yaml"
[ ! -e "$dir/short.db" ] || fail "a database was left behind"

cp -r "$models/adder" "$dir/words"
chmod -R u+w "$dir/words"
sed -i 's/"▁h": *\([0-9]*\)/"▁hh": \1/' "$dir/words/tokenizer.json"
edit words "s#$models/adder#$dir/words#"
out=$("$BRAID" check "$dir/words.yaml" 2>&1) && fail "a vocabulary that differs was accepted: $out"
expect "vocabulary differs" '(words|adder).*[0-9]+' "$out"

sed 's/"gold": [0-9]*/"gold": 9/; 1!d' "$top/study/examples/tasks/addition.jsonl" >"$dir/nogold.jsonl"
sed "s#addition.jsonl#$dir/nogold.jsonl#" "$top/study/examples/tasks/addition_choice.yaml" >"$dir/nogold.yaml"
out=$("$BRAID" eval "$models/adder" "$dir/nogold.yaml" 2>&1) || fail "a gold outside the choices ends it: $out"
expect "gold outside the choices" 'nogold.jsonl:1: a gold is none of the choices' "$out"
expect "and is counted" '"golds_without_choice": 1' "$("$BRAID" eval "$models/adder" "$dir/nogold.yaml" --json 2>&1)"
refused "two tasks of one name" 1 'two tasks are named' "$BRAID" eval "$models/adder" "$dir/nogold.yaml" "$dir/nogold.yaml"
echo '{"id": "a", "prompt": "1+1="}' >"$dir/noanswer.jsonl"
sed "s#addition.jsonl#$dir/noanswer.jsonl#" "$top/study/examples/tasks/addition.yaml" >"$dir/noanswer.yaml"
refused "document without gold" 1 'noanswer.jsonl:1.*answer' "$BRAID" eval "$models/adder" "$dir/noanswer.yaml"

study good 12 20
search "$dir/good.yaml" >"$dir/good.out" 2>&1 || fail "search: $(tail -n 3 "$dir/good.out")"
edit other 's/^seed: 7/seed: 8/'
refused "database of another study" 1 'study good' search "$dir/other.yaml" --db "$dir/good.db"
cp "$dir/good.db" "$dir/newer.db"
printf '\000\000\003\347' | dd of="$dir/newer.db" bs=1 seek=60 conv=notrunc 2>/dev/null # user_version 999
refused "newer schema" 1 '999' "$BRAID" status "$dir/newer.db"
refused "no database" 1 'nowhere.db' "$BRAID" status "$dir/nowhere.db"

study long 2000 80
"$BRAID" search "$dir/long.yaml" --listen 127.0.0.1:0 >"$dir/long.out" 2>&1 &
running=$!
for _ in $(seq 100); do
    port=$(grep -oE '127\.0\.0\.1:[0-9]+' "$dir/long.out" | head -n 1) && [ -n "$port" ] && break
    sleep 0.1
done
refused "a second coordinator" 1 "$running|another" search "$dir/long.yaml"
study taken 12 20
refused "port in use" 1 "${port##*:}" "$BRAID" search "$dir/taken.yaml" --listen "$port"
kill -TERM "$running"
rc=0
wait "$running" || rc=$?
same "stopped by a signal" 3 "$rc"
refused "wrong usage" 2 'Usage|usage|no command' "$BRAID" serch
echo "$checks checks"
