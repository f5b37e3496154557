#!/bin/bash
# Run the tests in two rounds: on all CPUs those that only compute, then, one after the other, those
# that capture, draw in a browser or boot a machine. The last line is the sum of both.
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

status=0
# Workers must collect the same tests in the same order, those whose names show a set, too.
PYTHONHASHSEED=0 round computing -n "$(nproc)" -m "not ($alone)" "$@" | tee "$work/log" || status=$?
round capturing -m "$alone" --durations=15 "$@" | tee "$work/log2" || status=$?
export COVERAGE_FILE=$work/all
"$python" -m coverage combine --quiet "$work"/computing* "$work"/capturing*
"$python" -m coverage report --fail-under="$coverage" || status=$?

grep -hE '^=+ .* in [0-9.]+s' "$work/log" "$work/log2" | "$python" -c '
import re, sys

counts, seconds = {}, 0.0
for line in sys.stdin:
    seconds = sum((seconds, float(re.search(r" in ([0-9.]+)s", line)[1])))
    for number, what in re.findall(r"(\d+) (passed|failed|skipped|xfailed|xpassed|error)", line):
        counts[what] = counts.get(what, 0) + int(number)
order = ("failed", "passed", "skipped", "xfailed", "xpassed", "error")
text = ", ".join(f"{counts[what]} {what}" for what in order if what in counts)
print(f"========== {text or chr(48)} in {seconds:.2f}s ==========")
'
exit "$status"
