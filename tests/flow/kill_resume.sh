#!/usr/bin/env bash
# A search whose coordinator or workers are killed with -9 ends with the trajectory of an undisturbed one.
# Kills come by progress, not by the clock: each waits until the search has gone on since the last.
. "$(dirname "$0")/lib.sh"
kills=${KILLS:-5}
step=10 # finished candidates between two kills

study quiet $((step * (kills + 3)))
sed -i 's/^  layers: .*/  layers: [1, 2]\n  free: 2/' "$dir/quiet.yaml" # kills come in every phase
cp "$dir/quiet.yaml" "$dir/killed.yaml"
cp "$dir/quiet.yaml" "$dir/bereaved.yaml"

# finished DB: how many candidates are done.
finished() {
    { "$BRAID" status "$1" --json 2>/dev/null || true; } | sed -n 's/^ *"done": *\([0-9]*\).*/\1/p' | head -n 1
}

# reach DB COUNT: wait until so many are done.
reach() {
    local done
    for _ in $(seq 3000); do
        done=$(finished "$1")
        [ "${done:-0}" -lt "$2" ] || return 0
        sleep 0.01
    done
    fail "$1 stands still at ${done:-0} of $2 candidates"
}

search "$dir/quiet.yaml" --workers 2 >"$dir/quiet.out" 2>&1 || fail "undisturbed search: $(tail -n 3 "$dir/quiet.out")"
want=$(trajectory "$dir/quiet.db")
expect "a trajectory" '^[0-9a-f]{64}$' "$want"

for round in $(seq "$kills"); do
    "$BRAID" search "$dir/killed.yaml" --listen 127.0.0.1:0 --workers 2 >"$dir/killed.out" 2>&1 &
    victim=$!
    reach "$dir/killed.db" $((round * step + RANDOM % step))
    kill -9 "$victim" || fail "kill $round found no coordinator: $(tail -n 3 "$dir/killed.out")"
    wait "$victim" 2>/dev/null || true
done
search "$dir/killed.yaml" --workers 2 >"$dir/killed.out" 2>&1 || fail "resumed search: $(tail -n 3 "$dir/killed.out")"
same "trajectory after $kills kills of the coordinator" "$want" "$(trajectory "$dir/killed.db")"

# kill_worker PARENT: one of its children, whichever is there.
kill_worker() {
    local worker
    for _ in $(seq 300); do
        worker=$(pgrep -P "$1" | shuf -n 1 || true)
        if [ -n "$worker" ] && kill -9 "$worker" 2>/dev/null; then
            return 0
        fi
        sleep 0.01
    done
    fail "no worker to kill: $(tail -n 3 "$dir/bereaved.out")"
}

"$BRAID" search "$dir/bereaved.yaml" --listen 127.0.0.1:0 --workers 2 >"$dir/bereaved.out" 2>&1 &
coordinator=$!
for round in $(seq "$kills"); do
    reach "$dir/bereaved.db" $((round * step))
    kill_worker "$coordinator"
done
wait "$coordinator" || fail "search with dying workers: $(tail -n 3 "$dir/bereaved.out")"
same "trajectory after $kills kills of workers" "$want" "$(trajectory "$dir/bereaved.db")"
echo "$checks checks"
