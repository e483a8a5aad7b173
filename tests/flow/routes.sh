#!/usr/bin/env bash
# A route with a known answer is found by the real evaluator: the map of single edits has the planted splice first,
# its gains are found, its export is the model it was made from; and killing the search in any of its phases changes nothing.
. "$(dirname "$0")/lib.sh"
planted=$(dirname "$BRAID")/tests/flow/planted
examples=$top/study/examples
"$planted" "$examples/models/reverser" "$dir/a" "$dir/b" "$examples/tasks/reversal.jsonl" "$dir/answers.jsonl"

cat >"$dir/answers.yaml" <<YAML
task: answers
output_type: loglikelihood
data: answers.jsonl
prompt: "{prompt}"
target_delimiter: ""
gold: answer
metrics: [perplexity]
version: 1
YAML

# routes NAME EVALUATIONS ROUTE
routes() {
    cat >"$dir/$1.yaml" <<YAML
study: $1
seed: 7
models: {a: a, b: b}
route: {host: a, pinned: 1, $3}
tasks: [{task: answers.yaml, metric: perplexity}]
splits: {search: 0.9, select: 0.05, report: 0.05}
budget: {evaluations: $2}
evaluator: {dtype: float32}
YAML
}

# near WHAT WANT GOT: within 5 %.
near() {
    awk -v want="$2" -v got="$3" 'BEGIN { exit !(got > 0.95 * want && got < 1.05 * want) }' || fail "$1: $3 is not within 5 % of $2"
    ok
}

# perplexity FOLDER
perplexity() {
    "$BRAID" eval "$1" "$dir/answers.yaml" --dtype float32 --numeric f32 2>/dev/null | awk '$2 == "perplexity" { print $4 }'
}

routes found 260 "mode: edits"
search "$dir/found.yaml" --workers 2 >"$dir/found.out" 2>&1 || fail "search: $(tail -n 3 "$dir/found.out")"
expect "the map's best edit" '^ *-[0-9.]+ +splice 2-3 b ' "$("$BRAID" show "$dir/found.db" --map | sed -n 2p)"
route=$("$BRAID" show "$dir/found.db" | sed -n 's/^ *route *//p')
expect "the route" '^A0-1 B2-3\*[0-9.]+ A4-5\*[0-9.]+ ' "$route"
near "gain into b" 3 "$(sed 's/.*B2-3\*\([0-9.]*\).*/\1/' <<<"$route")"
near "gain back" 0.3333333 "$(sed 's/.*A4-5\*\([0-9.]*\).*/\1/' <<<"$route")"
"$BRAID" export "$dir/found.db" "$dir/out" >/dev/null || fail "export"
near "perplexity of the export" "$(perplexity "$examples/models/reverser")" "$(perplexity "$dir/out")"

# Its tensors are those that were measured, and those of mergekit's slices; folded, each block is there once.
weights() {
    "$BRAID" inspect "$1" --json | sed -n 's/^ *"weights": *"\([0-9a-f]*\)".*/\1/p'
}
stored=$("$BRAID" show "$dir/found.db" best --json | sed -n 's/^ *"weights": *"\([0-9a-f]*\)".*/\1/p' | head -n 1)
same "digest of the exported tensors" "$stored" "$(weights "$dir/out")"
expect "the card's route" '^`A0-1 B2-3\*[0-9.]+ A4-5\*[0-9.]+`$' "$(cat "$dir/out/README.md")"
(cd "$dir" && "$BRAID" merge out/mergekit_config.yml stacked) >"$dir/merge.out" 2>&1 || fail "merge: $(cat "$dir/merge.out")"
same "digest of the stacked tensors" "$stored" "$(weights "$dir/stacked")"
"$BRAID" export "$dir/found.db" "$dir/folded" --folded >/dev/null || fail "folded export"
expect "the way through the folded blocks" \
    '^\{"input_layers":\[0,1,2,3,4,5\],"input_scales":\[1.0,1.0,[0-9.]+,1.0,[0-9.]+,1.0\]\}$' "$(cat "$dir/folded/route.json")"
"$BRAID" inspect "$dir/folded" >"$dir/folded.out" 2>&1 && fail "a folded route was taken for a model"
expect "a folded route is no model to run" 'export it flat' "$(cat "$dir/folded.out")"

# A bit a block: at least as good as the splice, on the same documents.
routes splice 50 "mode: edits, edits: 1, gains: false"
routes bits 900 "mode: indicators, repeats: 2, scales: none"
sed -i 's/metric: perplexity/&, limit: 100/' "$dir/splice.yaml" "$dir/bits.yaml"
for name in splice bits; do
    search "$dir/$name.yaml" --workers 2 >"$dir/$name.out" 2>&1 || fail "$name: $(tail -n 3 "$dir/$name.out")"
done
splice=$("$BRAID" show "$dir/splice.db" --map | awk '$2 == "splice" && $3 == "2-3" { print $1 }')
bits=$(sed -n 's/.*best so far: candidate [0-9]*, \(-[0-9.]*\) .*/\1/p' "$dir/bits.out")
awk -v a="$bits" -v b="$splice" 'BEGIN { exit !(a != "" && a >= b) }' || fail "indicators: $bits is worse than the splice's $splice"
ok

# Killed in every phase, a little of each.
routes killed 120 "mode: edits"
cp "$dir/killed.yaml" "$dir/quiet.yaml"
search "$dir/quiet.yaml" --workers 2 >"$dir/quiet.out" 2>&1 || fail "undisturbed search: $(tail -n 3 "$dir/quiet.out")"
for evaluations in 20 60 88 100 112; do
    "$BRAID" search "$dir/killed.yaml" --listen 127.0.0.1:0 --workers 2 >"$dir/killed.out" 2>&1 &
    victim=$!
    for _ in $(seq 3000); do
        seen=$({ "$BRAID" status "$dir/killed.db" --json 2>/dev/null || true; } | sed -n 's/^ *"evaluations": *\([0-9]*\).*/\1/p' | head -n 1)
        [ "${seen:-0}" -lt "$evaluations" ] || break
        sleep 0.01
    done
    kill -9 "$victim" 2>/dev/null || true
    wait "$victim" 2>/dev/null || true
done
search "$dir/killed.yaml" --workers 2 >"$dir/killed.out" 2>&1 || fail "resumed search: $(tail -n 3 "$dir/killed.out")"
same "trajectory after a kill in every phase" "$(trajectory "$dir/quiet.db")" "$(trajectory "$dir/killed.db")"
echo "$checks checks"
