#!/bin/sh
# run.sh FOLDER: check the types of the page and run the tests of its pure parts, with the node modules of FOLDER, the
# page's build folder.
set -eu
tests=$(cd "$(dirname "$0")" && pwd)
source=$tests/../../../web/dashboard
cd "$1"
rm -rf check && mkdir check
cp -r "$source/src" "$source/tsconfig.json" check/
mkdir check/test && cp "$tests"/*.test.ts check/test/
node_modules/.bin/tsc -p check
node_modules/.bin/esbuild check/test/*.test.ts --bundle --platform=node --format=esm --outdir=check/out \
    --out-extension:.js=.mjs --log-level=warning
node --test check/out/*.mjs
