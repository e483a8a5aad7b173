#!/usr/bin/env bash
# Our tokenizer against two other implementations, fetched by npm from the lock file, over generated text.
. "$(dirname "$0")/lib.sh"

# Node modules live in the build folder; fetched once, again when the lock file changes.
modules=$(dirname "$BRAID")/tests/flow/tokens.modules
mkdir -p "$modules"
if ! cmp -s "$top/tests/flow/tokens/package-lock.json" "$modules/package-lock.json"; then
    cp "$top"/tests/flow/tokens/package.json "$modules/"
    cp "$top"/tests/flow/tokens/package-lock.json "$modules/fetched.json"
    (cd "$modules" && mv fetched.json package-lock.json && npm ci --no-audit --no-fund --ignore-scripts --prefer-offline --silent) ||
        { rm -f "$modules/package-lock.json"; fail "npm could not fetch the other implementations"; }
fi
cp "$top"/tests/flow/tokens/*.mjs "$modules/"
(cd "$modules" && node tokens.mjs "$(dirname "$BRAID")/tests/flow/tokens" "$dir") || fail "tokenizers differ"
ok
echo "$checks checks"
