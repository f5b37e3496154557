#!/bin/bash
# Run the tests in two rounds, both at once: those that only compute, politely, and one after the
# other those that capture, draw in a browser or boot a machine. The last line is the sum of both.
#
#   tools/tests.sh PYTHON COVERAGE [PYTEST OPTION...]     COVERAGE: percent that must be reached
set -uo pipefail
python=$1 coverage=$2
shift 2
alone="kernel or browser or vm"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

round() { # NAME OPTION...: no tests selected (5) is no failure of a round
    local name=$1 code=0
    shift
    COVERAGE_FILE=$work/$name "$python" -m pytest --cov --cov-report= "$@" 2>&1 || code=$?
    return $((code == 5 ? 0 : code))
}

# The polite round has a worker of its own, so that its processes are told from the other's.
round computing -n 1 -m "not ($alone)" "$@" >"$work/log" &
renice -n 10 -p $! >/dev/null
status=0
round capturing -m "$alone" --durations=10 "$@" | tee "$work/log2" || status=$?
wait $! || status=$?
cat "$work/log"
export COVERAGE_FILE=$work/all
"$python" -m coverage combine --quiet "$work"/computing* "$work"/capturing*
"$python" -m coverage report --fail-under="$coverage" || status=$?

grep -hE '^=+ .* in [0-9.]+s' "$work/log" "$work/log2" | "$python" -c '
import re, sys

counts, seconds = {}, 0.0
for line in sys.stdin:
    seconds = max(seconds, float(re.search(r" in ([0-9.]+)s", line)[1]))
    for number, what in re.findall(r"(\d+) (passed|failed|skipped|xfailed|xpassed|error)", line):
        counts[what] = counts.get(what, 0) + int(number)
order = ("failed", "passed", "skipped", "xfailed", "xpassed", "error")
text = ", ".join(f"{counts[what]} {what}" for what in order if what in counts)
print(f"========== {text or chr(48)} in {seconds:.2f}s ==========")
'
exit "$status"
