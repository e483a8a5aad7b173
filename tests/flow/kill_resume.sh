#!/usr/bin/env bash
# A search whose coordinator or workers are killed with -9 ends with the trajectory of an undisturbed one.
. "$(dirname "$0")/lib.sh"
kills=${KILLS:-5}

study quiet 80
cp "$dir/quiet.yaml" "$dir/killed.yaml"
cp "$dir/quiet.yaml" "$dir/bereaved.yaml"

search "$dir/quiet.yaml" --workers 2 >"$dir/quiet.out" 2>&1 || fail "undisturbed search: $(tail -n 3 "$dir/quiet.out")"
want=$(trajectory "$dir/quiet.db")
expect "a trajectory" '^[0-9a-f]{64}$' "$want"

interrupted=0
for round in $(seq "$kills"); do
    "$BRAID" search "$dir/killed.yaml" --listen 127.0.0.1:0 --workers 2 >"$dir/killed.out" 2>&1 &
    victim=$!
    sleep "0.$((RANDOM % 9 + 1))"
    if kill -9 "$victim" 2>/dev/null; then interrupted=$((interrupted + 1)); fi
    wait "$victim" 2>/dev/null || true
done
search "$dir/killed.yaml" --workers 2 >"$dir/killed.out" 2>&1 || fail "resumed search: $(tail -n 3 "$dir/killed.out")"
[ "$interrupted" -gt 0 ] || fail "the coordinator could not be killed"
same "trajectory after $interrupted kills of the coordinator" "$want" "$(trajectory "$dir/killed.db")"

"$BRAID" search "$dir/bereaved.yaml" --listen 127.0.0.1:0 --workers 2 >"$dir/bereaved.out" 2>&1 &
coordinator=$!
killed=0
for round in $(seq "$kills"); do
    sleep "0.$((RANDOM % 6 + 2))"
    worker=$(pgrep -P "$coordinator" | shuf -n 1 || true)
    if [ -n "$worker" ] && kill -9 "$worker" 2>/dev/null; then killed=$((killed + 1)); fi
done
wait "$coordinator" || fail "search with dying workers: $(tail -n 3 "$dir/bereaved.out")"
[ "$killed" -gt 0 ] || fail "no worker could be killed"
same "trajectory after $killed kills of workers" "$want" "$(trajectory "$dir/bereaved.db")"
echo "$checks checks"
