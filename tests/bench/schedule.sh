#!/bin/sh
# schedule.sh BRAID [SEEDS [EVALUATIONS]]: from coarse to fine against flat, on the example models at
# equal evaluations. CSV lines: the best on the search documents and the winner on the report
# documents, a search each; then the medians.
set -eu

braid=$1
seeds=${2:-5}
evaluations=${3:-150}
examples=$(cd "$(dirname "$0")/../../study/examples" && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# study NAME LAYERS SEED
study()
{
    cat <<END
study: $1
seed: $3
models: {base: $examples/models/base, adder: $examples/models/adder, reverser: $examples/models/reverser}
merge:
  method: task_arithmetic
  base: base
  sources: [adder, reverser]
  $2
  components: [embeddings, head, rest]
  search: {weight: [0, 1.5]}
tasks:
  - {task: $examples/tasks/addition.yaml, metric: exact_match}
  - {task: $examples/tasks/reversal.yaml, metric: exact_match}
splits: {search: 0.4, select: 0.2, report: 0.4}
budget: {evaluations: $evaluations}
END
}

median()
{
    sort -g | awk '{v[NR] = $1} END {print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2}'
}

run()
{
    study "$1" "$2" "$3" > "$dir/$1.yaml"
    "$braid" search "$dir/$1.yaml" --db "$dir/$1-$3.db" --listen 127.0.0.1:0 > "$dir/out" 2> /dev/null
    best=$(sed -n 's/.*best so far: candidate [0-9]*, \([0-9.]*\) on.*/\1/p' "$dir/out")
    report=$(sed -n 's/^  winner  *[0-9]*  *\([0-9.]*\) .*/\1/p' "$dir/out")
    echo "schedule,$1,$3,$best,$report"
    echo "$best" >> "$dir/$1.best"
    echo "$report" >> "$dir/$1.report"
}

echo "benchmark,layers,seed,best_search,winner_report"
seed=1
while [ "$seed" -le "$seeds" ]; do
    run each "layers: each" "$seed"
    run whole-each "layers: [1, each]" "$seed"
    run whole-2-each "layers: [1, 2, each]" "$seed"
    run whole-free-5 "layers: [1, each]
  free: 5" "$seed"
    seed=$((seed + 1))
done
for name in each whole-each whole-2-each whole-free-5; do
    echo "schedule,$name,median,$(median < "$dir/$name.best"),$(median < "$dir/$name.report")"
done
