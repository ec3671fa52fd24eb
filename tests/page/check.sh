#!/usr/bin/env bash
# Looks at report pages in a headless Chromium: tests/page/check.sh PAGE... ; see check.js for what has to hold.
# Without a browser or node it says so and holds; AXE=.../axe.min.js adds the check of accessibility.
set -euo pipefail
here=$(dirname "$0")

browser=""
for name in chromium chromium-browser google-chrome; do
  if command -v "$name" >/dev/null; then browser=$(command -v "$name"); break; fi
done
if [ -z "$browser" ] || ! command -v node >/dev/null; then
  echo "SKIPPED: the pages are looked at by nobody, for there is no chromium or no node" >&2
  exit 0
fi
[ -n "${AXE:-}" ] || echo "SKIPPED: no AXE, so accessibility is not checked" >&2
exec node "$here/check.js" "$browser" "$@"
