#!/usr/bin/env bash
# Our chat templates against another implementation, fetched by npm from the lock file, over generated conversations.
. "$(dirname "$0")/lib.sh"

# Node modules live in the build folder; fetched once, again when the lock file changes.
modules=$(dirname "$BRAID")/tests/flow/chat.modules
mkdir -p "$modules/chat" "$modules/tokens"
if ! cmp -s "$top/tests/flow/chat/package-lock.json" "$modules/chat/package-lock.json"; then
    cp "$top"/tests/flow/chat/package.json "$modules/chat/"
    cp "$top"/tests/flow/chat/package-lock.json "$modules/chat/fetched.json"
    (cd "$modules/chat" && mv fetched.json package-lock.json && npm ci --no-audit --no-fund --ignore-scripts --prefer-offline --silent) ||
        { rm -f "$modules/chat/package-lock.json"; fail "npm could not fetch the other implementation"; }
fi
cp "$top"/tests/flow/chat/*.mjs "$modules/chat/"
cp "$top"/tests/flow/tokens/texts.mjs "$modules/tokens/"
node "$modules/chat/chat.mjs" "$(dirname "$BRAID")/tests/flow/chat" "$top/tests/golden/chat" || fail "prompts differ"
ok
echo "$checks checks"
