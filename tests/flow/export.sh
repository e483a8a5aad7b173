#!/usr/bin/env bash
# What is exported is what was measured: the tensors' digest, and every document's numbers.
. "$(dirname "$0")/lib.sh"

study night 24
search "$dir/night.yaml" >"$dir/night.out" 2>&1 || fail "search: $(tail -n 3 "$dir/night.out")"
"$BRAID" export "$dir/night.db" "$dir/best" >"$dir/export.out" 2>&1 || fail "export: $(cat "$dir/export.out")"
for file in config.json model.safetensors tokenizer.json README.md search.json; do
    [ -s "$dir/best/$file" ] || fail "export: no $file"
    ok
done
! grep -rqF "$dir" "$dir/best" || fail "export names a path of this machine"
! grep -rqF "$top" "$dir/best" || fail "export names a path of this machine"

stored=$("$BRAID" show "$dir/night.db" best --json | sed -n 's/^ *"weights": *"\([0-9a-f]*\)".*/\1/p' | head -n 1)
expect "the winner's weights have a digest" '^[0-9a-f]{64}$' "$stored"
same "digest of the exported tensors" "$stored" \
    "$("$BRAID" inspect "$dir/best" --json | sed -n 's/^ *"weights": *"\([0-9a-f]*\)".*/\1/p')"

"$BRAID" eval "$dir/best" "$top/study/examples/tasks/addition.yaml" "$top/study/examples/tasks/reversal.yaml" \
    --json --documents >"$dir/eval.json" || fail "eval of the export"
"$BRAID" show "$dir/night.db" best --json --documents >"$dir/show.json" || fail "show --documents"
documents() {
    tr -d ' \n' <"$1" | grep -oE '\{"id":"[^"]*","loglikelihoods":\[[^]]*\],"greedy":\[[^]]*\],"metrics":\{[^}]*\}\}' | sort -u
}
documents "$dir/show.json" >"$dir/show.txt"
documents "$dir/eval.json" >"$dir/eval.txt"
lines=$(wc -l <"$dir/show.txt")
[ "$lines" -ge 60 ] || fail "only $lines stored documents"
missing=$(comm -23 "$dir/show.txt" "$dir/eval.txt" | wc -l)
same "documents whose numbers differ after export" 0 "$missing"

"$BRAID" export "$dir/night.db" "$dir/best" >"$dir/again.out" 2>&1 && fail "export overwrote a folder"
expect "export never overwrites" 'exists' "$(cat "$dir/again.out")"
# The recipe beside the weights is one for braid merge, and gives them again.
(cd "$top/study/examples/models" && "$BRAID" merge "$dir/best/mergekit_config.yml" "$dir/again") >"$dir/merge.out" 2>&1 ||
    fail "merge of the export's recipe: $(cat "$dir/merge.out")"
same "digest of the merged tensors" "$stored" \
    "$("$BRAID" inspect "$dir/again" --json | sed -n 's/^ *"weights": *"\([0-9a-f]*\)".*/\1/p')"
! grep -rqF "$top" "$dir/again" || fail "merge names a path of this machine"
"$BRAID" merge "$dir/best/mergekit_config.yml" "$dir/again" >"$dir/merge.out" 2>&1 && fail "merge overwrote a folder"
expect "merge never overwrites" 'exists' "$(cat "$dir/merge.out")"
echo "$checks checks"
