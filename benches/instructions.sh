#!/usr/bin/env bash
# Counts the instructions of three fixed runs, and compares them with what is written in benches/instructions/baseline.txt.
#
#   benches/instructions.sh            compares; status 1 when a run takes over 5 % more, or less, than it did
#   benches/instructions.sh --write    writes the baseline anew
#
# Seconds say little on a machine that others use; the instructions of a run on one thread are the same but for a hundredth
# of a percent. They are counted by valgrind's callgrind, on the binary of the tests (`cargo test` builds it, without debug
# information, as .ci/run does; ECSIM names another): a slower way to do a thing shows in any profile, and an optimised binary
# would cost minutes to build. A count that fell by more than the tolerance fails too, so that the baseline follows
# improvements and the next loss is seen.
set -euo pipefail
cd "$(dirname "$0")/.."

tolerance=5 # percent
baseline=benches/instructions/baseline.txt
ecsim=${ECSIM:-${CARGO_TARGET_DIR:-target}/debug/ecsim}

write=false
case "${1:-}" in
  "") ;;
  --write) write=true ;;
  *) echo "usage: benches/instructions.sh [--write]" >&2; exit 2 ;;
esac
command -v valgrind >/dev/null || { echo "instructions.sh needs valgrind" >&2; exit 2; }
[ -x "$ecsim" ] || { echo "no binary at $ecsim: run cargo test first, or set ECSIM" >&2; exit 2; }

# The same path every time: what it is called must not move the count.
out=/tmp/ecsim-instructions
rm -rf "$out" && mkdir -p "$out"
trap 'rm -rf "$out"' EXIT

# count NAME SCENARIO OPTION...: the instructions of one run, in an empty environment and without random addresses.
count() {
  local name=$1 scenario=$2
  shift 2
  env -i PATH=/usr/bin:/bin HOME=/nonexistent LC_ALL=C TZ=UTC \
    setarch -R valgrind --tool=callgrind --callgrind-out-file=/dev/null --log-file="$out/$name.log" \
    "$ecsim" run "$scenario" "$@" --detail summary --replications 1 --threads 1 --quiet --out "$out/$name" >&2 ||
    [ $? -eq 1 ] # an SLO that does not hold in so short a run is no failure
  awk '/Collected/ { print $NF }' "$out/$name.log"
}

names=(load arrivals queue)
declare -A run=(
  [load]="scenarios/quickstart.yaml --until 1h --set warmup=0s"
  [arrivals]="benches/instructions/arrivals.yaml"
  [queue]="scenarios/queue-backlog.yaml --until 1h --set warmup=0s"
)
declare -A counted
for name in "${names[@]}"; do
  # shellcheck disable=SC2086  # scenario and options are words
  set -- ${run[$name]}
  scenario=$1
  shift
  counted[$name]=$(count "$name" "$scenario" "$@")
done

if $write; then
  {
    echo "# Instructions of three runs of the binary of the tests, by benches/instructions.sh --write."
    echo "# $(rustc --version), $(valgrind --version)"
    for name in "${names[@]}"; do echo "$name ${counted[$name]}"; done
  } > "$baseline"
  cat "$baseline"
  exit 0
fi

failed=false
for name in "${names[@]}"; do
  was=$(awk -v name="$name" '$1 == name { print $2 }' "$baseline")
  is=${counted[$name]}
  line=$(awk -v name="$name" -v was="${was:-0}" -v is="$is" 'BEGIN {
    printf "%-10s %15d instructions, %15d in the baseline: %+.2f %%", name, is, was, (was > 0 ? 100 * (is / was - 1) : 100) }')
  if awk -v was="${was:-0}" -v is="$is" -v by="$tolerance" \
    'BEGIN { exit !(was > 0 && is <= was * (1 + by / 100) && is >= was * (1 - by / 100)) }'; then
    echo "$line"
  else
    failed=true
    echo "$line, more than $tolerance % off" >&2
  fi
done
if $failed; then
  echo "The baseline was counted with: $(sed -n 2p "$baseline" | cut -c3-); this is $(rustc --version), $(valgrind --version)." >&2
  echo "When the change is meant, write the baseline anew: benches/instructions.sh --write" >&2
  exit 1
fi
