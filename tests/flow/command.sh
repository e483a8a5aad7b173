#!/usr/bin/env bash
# A task scored by another program: the same search and the same report as by ourselves; programs that fail, hang or
# say nonsense; and nothing left behind, whoever is killed.
. "$(dirname "$0")/lib.sh"
tasks=$top/study/examples/tasks
export BRAID TMPDIR="$dir/tmp"
mkdir "$TMPDIR"

# command_study NAME EVALUATIONS KEY...: the study of lib.sh with one task, a command in this folder.
command_study() {
    study "$1" "$2"
    sed -i '/^  - {task:/d' "$dir/$1.yaml"
    sed -i "s/^tasks:/tasks:\n  - task: addition\n    output_type: command/" "$dir/$1.yaml"
    for key in "${@:3}"; do
        sed -i "s|^    output_type: command|&\n    $key|" "$dir/$1.yaml"
    done
}

# left: folders of candidates that are still there.
left() {
    find "$TMPDIR" /dev/shm "$dir" -maxdepth 3 -name 'braid-eval-*' -newer "$dir/begun" 2>/dev/null | wc -l
}
touch "$dir/begun"

# ---- the same numbers ----

study native 16 120
sed -i '/reversal.yaml/d' "$dir/native.yaml"
search "$dir/native.yaml" --workers 2 >"$dir/native.out" 2>&1 || fail "native: $(tail -n 3 "$dir/native.out")"

# The documents of each split, as files of their own: a baseline saw search and report, the winner select.
for candidate in 1 best; do
    "$BRAID" show "$dir/native.db" "$candidate" --documents --json |
        awk -F'"' '$2 == "split" { part = $4 } $2 == "id" { print part, $4 }'
done | sort -u >"$dir/splits"
for split in search select report; do
    sed "s|^data: .*|data: $split.jsonl|" "$tasks/addition.yaml" >"$dir/$split.yaml"
    awk -v s="$split" '$1 == s { print "\"id\": \"" $2 "\"" }' "$dir/splits" | grep -F -f - "$tasks/addition.jsonl" >"$dir/$split.jsonl"
done

# What a harness leaves behind, made of what braid eval prints.
cat >"$dir/harness.sh" <<'SH'
#!/bin/sh
set -e
"$BRAID" eval "$1" "$2.yaml" --json --documents >"$3/eval.txt" 2>/dev/null
mkdir "$3/model"
awk -v out="$3/model" '
    $1 == "\"documents\":" { inside = 1 }
    !inside && $1 == "\"value\":" { value = $2 }
    !inside && $1 == "\"stderr\":" { error = $2 }
    inside && $1 == "\"exact_match\":" {
        printf "{\"doc_id\": %d, \"filter\": \"none\", \"exact_match\": %s}\n", n++, $2 > (out "/samples_add_2024-05-01.jsonl") }
    END {
        sub(",", "", value)
        printf "{\"results\": {\"add\": {\"exact_match,none\": %s, \"exact_match_stderr,none\": %s, \"x,none\": NaN}},", value, error > (out "/results_2024.json")
        printf "\"higher_is_better\": {\"add\": {\"exact_match\": true}}, \"n-samples\": {\"add\": {\"effective\": %d}}}", n > (out "/results_2024.json") }
' "$3/eval.txt"
SH
chmod +x "$dir/harness.sh"
command_study native 16 'score: {task: add, metric: exact_match}' 'command: [./harness.sh, "{model_dir}", "{split}", "{out_dir}"]'
mv "$dir/native.yaml" "$dir/outside.yaml"
expect "check says what is written and is not known" 'written for the commands' "$("$BRAID" check "$dir/outside.yaml")"
search "$dir/outside.yaml" --workers 2 >"$dir/outside.out" 2>&1 || fail "outside: $(tail -n 3 "$dir/outside.out")"

# numbers DB: report, verdict, winner, less what names the trajectory.
numbers() {
    "$BRAID" status "$1" --json | grep -E '"(value|difference|low|high|winner|recipe|done)"|points|the best' | grep -v digest
}
same "report and winner of a search by a program" "$(numbers "$dir/native.db")" "$(numbers "$dir/outside.db")"
expect "with intervals" '[+-][0-9.]+ to [+-][0-9.]+' "$(cat "$dir/outside.out")"
weights() {
    "$BRAID" show "$1" best --json | sed -n 's/^ *"weights": *"\([0-9a-f]*\)".*/\1/p'
}
expect "the winner's weights are known" '^[0-9a-f]{64}$' "$(weights "$dir/outside.db")"
same "and the same" "$(weights "$dir/native.db")" "$(weights "$dir/outside.db")"
"$BRAID" export "$dir/outside.db" "$dir/best" >"$dir/export.txt" 2>&1 || fail "export: $(cat "$dir/export.txt")"
expect "export writes them" "$(weights "$dir/outside.db")" "$(cat "$dir/export.txt")"
same "folders left" 0 "$(left)"

# ---- beside a task of our own ----

sed "s|^    output_type: command|&\n    metric: exact_match|; s|^budget:|  - {task: $tasks/reversal.yaml, limit: 60}\nbudget:|; s/evaluations: 16/evaluations: 6/" \
    "$dir/outside.yaml" >"$dir/mixed.yaml"
search "$dir/mixed.yaml" --workers 2 >"$dir/mixed.out" 2>&1 || fail "mixed: $(tail -n 3 "$dir/mixed.out")"
expect "a program's documents and ours are paired together" '[+-][0-9.]+ to [+-][0-9.]+' "$(cat "$dir/mixed.out")"
expect "in one table" 'reversal +report' "$("$BRAID" show "$dir/mixed.db" best)"
expect "task by task" 'addition +report' "$("$BRAID" show "$dir/mixed.db" best)"

# ---- a last line, and no split ----

cat >"$dir/line.sh" <<'SH'
#!/bin/sh
"$BRAID" eval "$BRAID_MODEL_DIR" search.yaml --json 2>/dev/null | sed -n 's/^ *"value": \([0-9.]*\).*/{"score": \1}/p'
SH
chmod +x "$dir/line.sh"
command_study line 6 'command: [./line.sh]'
expect "check says that there is no test" 'not be a test' "$("$BRAID" check "$dir/line.yaml")"
search "$dir/line.yaml" --workers 1 >"$dir/line.out" 2>&1 || fail "line: $(tail -n 3 "$dir/line.out")"
expect "and so does the report" 'same data in every split' "$(cat "$dir/line.out")"
expect "which gives no interval" 'no interval' "$(cat "$dir/line.out")"

printf 'task: addition\noutput_type: command\ncommand: [./line.sh]\n' >"$dir/task.yaml"
expect "braid eval has the program's number" \
    "addition +score +- +$("$BRAID" eval "$top/study/examples/models/adder" "$dir/search.yaml" 2>/dev/null | awk '$2 == "exact_match" { print $4 }')" \
    "$("$BRAID" eval "$top/study/examples/models/adder" "$dir/task.yaml" 2>&1)"

echo 'echo here > begun.txt; exec sleep 4713' >"$dir/slow.sh"
printf 'task: slow\noutput_type: command\ncommand: [sh, slow.sh]\n' >"$dir/slow.yaml"
"$BRAID" eval "$top/study/examples/models/adder" "$dir/slow.yaml" "$dir/search.yaml" >"$dir/slow.txt" 2>&1 &
running=$!
for _ in $(seq 3000); do
    [ ! -s "$dir/begun.txt" ] || break
    sleep 0.02
done
kill -INT "$running"
code=0
wait "$running" || code=$?
same "the exit code of an eval that is stopped at a program" 3 "$code"
expect "which keeps what was done before" 'addition +exact_match' "$(cat "$dir/slow.txt")"
! pgrep -f 'sleep 4713' >/dev/null || fail "a stopped eval's program lives on"
ok
rm "$dir/begun.txt"

# ---- a published benchmark ----

command_study famous 4 'command: [./line.sh]'
sed -i 's/- task: addition/- task: gsm8k/' "$dir/famous.yaml"
expect "check warns of a benchmark" 'task gsm8k: by its name this is the benchmark gsm8k' "$("$BRAID" check "$dir/famous.yaml")"
said=$(search "$dir/famous.yaml" --workers 1 2>&1) && fail "a benchmark was searched on unasked"
expect "a search on it has to be meant" 'benchmarks: allow' "$said"
echo 'benchmarks: allow' >>"$dir/famous.yaml"
search "$dir/famous.yaml" --workers 1 >"$dir/famous.out" 2>&1 || fail "famous: $(tail -n 3 "$dir/famous.out")"
"$BRAID" export "$dir/famous.db" "$dir/famous" >/dev/null
expect "the card says so" 'the published benchmark gsm8k' "$(cat "$dir/famous/README.md")"
expect "and the lineage" '"benchmarks": \{' "$(cat "$dir/famous/search.json")"

# ---- programs that do not do it ----

# fails NAME TIMEOUT PATTERN LINE: a search whose program is that line of shell stops with the cause in words.
fails() {
    printf '%s\n' "$4" >"$dir/$1.sh"
    command_study "$1" 4 "timeout: $2" "command: [sh, $1.sh]"
    ! search "$dir/$1.yaml" --workers 1 >"$dir/$1.out" 2>&1 || fail "$1: it went on"
    expect "$1" "$3" "$(cat "$dir/$1.out")"
}
fails broken 1m 'ended with status 9: no GPU here' 'echo no GPU here >&2; exit 9'
fails garbage 1m 'should be .*but is: fine' 'echo fine'
fails hanging 500ms 'took longer' 'sleep 4711 & sleep 4711'
! pgrep -f 'sleep 4711' >/dev/null || fail "what a hanging program started lives on"
ok
same "folders left by those that fail" 0 "$(left)"

# ---- killed with -9 ----

echo 'echo here > begun.txt; exec sleep 4712' >"$dir/killed.sh"
command_study killed 4 'command: [sh, killed.sh]'
"$BRAID" search "$dir/killed.yaml" --listen 127.0.0.1:0 --workers 1 >"$dir/killed.out" 2>&1 &
victim=$!
for _ in $(seq 3000); do
    [ ! -s "$dir/begun.txt" ] || break
    sleep 0.02
done
kill -9 "$victim" || fail "nobody to kill: $(tail -n 3 "$dir/killed.out")"
wait "$victim" 2>/dev/null || true
for _ in $(seq 3000); do
    pgrep -f 'sleep 4712' >/dev/null || break
    sleep 0.02
done
! pgrep -f 'sleep 4712' >/dev/null || fail "the program outlives the search by a minute"
ok
mkdir -p "$TMPDIR/braid-eval-orphan"
"$BRAID" eval "$top/study/examples/models/adder" "$dir/task.yaml" >/dev/null 2>&1
same "folders left after the next start" 0 "$(left)"

# ---- workers of elsewhere ----

"$BRAID" search "$dir/line.yaml" --db "$dir/far.db" --workers 0 --listen 0.0.0.0:0 --insecure-plaintext >"$dir/far.out" 2>&1 &
far=$!
for _ in $(seq 3000); do
    port=$({ cat "$dir/far.out" 2>/dev/null || true; } | sed -n 's|.*http://[0-9.]*:\([0-9]*\).*|\1|p' | head -n 1)
    [ -z "$port" ] || break
    sleep 0.02
done
address=$(hostname -I 2>/dev/null | awk '{ print $1 }')
if [ -n "$address" ]; then
    said=$("$BRAID" work "http://$address:$port" --token-file "$dir/far.db.token" 2>&1) && fail "a worker ran a stranger's command"
    expect "a worker refuses a stranger's command by name" 'line.sh here; --allow-commands' "$said"
fi
kill "$far"
wait "$far" 2>/dev/null || true
echo "$checks checks"
