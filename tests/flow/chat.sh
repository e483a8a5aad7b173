#!/usr/bin/env bash
# Our chat templates against another implementation, fetched by npm from the lock file, over generated conversations.
. "$(dirname "$0")/lib.sh"

modules=$(dirname "$BRAID")/tests/flow/chat.modules
mkdir -p "$modules/tokens"
fetch_modules "$top/tests/flow/chat" "$modules/chat"
cp "$top"/tests/flow/chat/*.mjs "$modules/chat/"
cp "$top"/tests/flow/tokens/texts.mjs "$modules/tokens/"
node "$modules/chat/chat.mjs" "$(dirname "$BRAID")/tests/flow/chat" "$top/tests/golden/chat" || fail "prompts differ"
ok
echo "$checks checks"
