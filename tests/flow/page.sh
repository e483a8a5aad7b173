#!/usr/bin/env bash
# The page in Chromium: of a search in progress, with its controls, of a finished study served from a copy of its
# database, and of several objectives.
. "$(dirname "$0")/lib.sh"

# The node modules the page was built with stand in its build folder; modules resolve from where the script lies.
page=$(dirname "$BRAID")/web/dashboard
cp "$top/tests/flow/page.mjs" "$page/page.mjs"

# address FILE: the first URL a running braid has printed into it
address() {
    local url
    for _ in $(seq 100); do
        url=$(grep -oE 'http://127\.0\.0\.1:[0-9]+' "$1" | head -n 1) && [ -n "$url" ] && break
        sleep 0.1
    done
    [ -n "${url:-}" ] || fail "no address in: $(cat "$1")"
    echo "$url"
}

study night 2000 40
search "$dir/night.yaml" --workers 2 >"$dir/night.out" 2>&1 &
running=$!
url=$(address "$dir/night.out")
token=$(cat "$dir/night.db.token")
for _ in $(seq 300); do # the curve and the heat map need a few generations
    [ "$(curl -s "$url/api/summary" | grep -oE '"evaluations":[0-9]+' | head -n 1 | cut -d: -f2)" -ge 30 ] 2>/dev/null && break
    sleep 0.2
done
order() {
    curl -sf -X POST -H "Authorization: Bearer $token" -H 'Content-Length: 0' "$url/v1/$1" >/dev/null || fail "$1"
}
order pause # it must not end under the browser's eyes
(cd "$page" && node page.mjs "$url" "$token") || fail "the page of a search in progress"
ok

order finish
order resume
wait "$running" || fail "search: $(tail -n 3 "$dir/night.out")"
cp "$dir/night.db" "$dir/copy.db"
"$BRAID" serve "$dir/copy.db" --listen 127.0.0.1:0 >"$dir/serve.out" 2>&1 &
url=$(address "$dir/serve.out")
(cd "$page" && node page.mjs "$url") || fail "the page of a copied database"
ok

study several 36
echo "objective: pareto" >>"$dir/several.yaml"
search "$dir/several.yaml" --workers 2 >"$dir/several.out" 2>&1 || fail "search: $(tail -n 3 "$dir/several.out")"
grep -q "hypervolume 0" "$dir/several.out" || fail "no hypervolume: $(cat "$dir/several.out")"
"$BRAID" serve "$dir/several.db" --listen 127.0.0.1:0 >"$dir/front.out" 2>&1 &
url=$(address "$dir/front.out")
(cd "$page" && node page.mjs "$url" --front) || fail "the page of several objectives"
member=$("$BRAID" status "$dir/several.db" --json | tr -d ' \n' | grep -oE '"front":\[\{"candidate":[0-9]+' | grep -oE '[0-9]+$')
"$BRAID" export "$dir/several.db" "$dir/member" --candidate "$member" >/dev/null || fail "export of candidate $member"
ok
echo "$checks checks"
