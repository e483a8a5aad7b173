#!/usr/bin/env bash
# Our tokenizer against two other implementations, fetched by npm from the lock file, over generated text.
. "$(dirname "$0")/lib.sh"

modules=$(dirname "$BRAID")/tests/flow/tokens.modules
fetch_modules "$top/tests/flow/tokens" "$modules"
cp "$top"/tests/flow/tokens/*.mjs "$modules/"
(cd "$modules" && node tokens.mjs "$(dirname "$BRAID")/tests/flow/tokens" "$dir") || fail "tokenizers differ"
ok
echo "$checks checks"
