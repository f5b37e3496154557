#!/bin/bash
# Run the tests in two rounds: on all CPUs those that only compute, then, one after the other, those
# that capture, draw in a browser or boot a machine, which must not disturb each other. The last
# line is the sum of both.
#
#   tools/tests.sh PYTHON COVERAGE [PYTEST OPTION...]     COVERAGE: percent that must be reached
set -uo pipefail
python=$1 coverage=$2
shift 2
alone="kernel or browser or vm"
log=$(mktemp)
trap 'rm -f "$log"' EXIT

round() { # OPTION...: no tests selected (5) is no failure of a round
    "$python" -m pytest --cov "$@" 2>&1 | tee -a "$log"
    local code=${PIPESTATUS[0]}
    return $((code == 5 ? 0 : code))
}

status=0
# Workers must collect the same tests in the same order, those whose names show a set, too.
PYTHONHASHSEED=0 round --cov-report= -n "$(nproc)" -m "not ($alone)" "$@" || status=$?
round --cov-append --cov-report=term --cov-fail-under="$coverage" -m "$alone" "$@" || status=$?

grep -E '^=+ .* in [0-9.]+s' "$log" | "$python" -c '
import re, sys

counts, seconds = {}, 0.0
for line in sys.stdin:
    seconds += float(re.search(r" in ([0-9.]+)s", line)[1])
    for number, what in re.findall(r"(\d+) (passed|failed|skipped|xfailed|xpassed|errors?)", line):
        what = what.removesuffix("s") if what == "errors" else what
        counts[what] = counts.get(what, 0) + int(number)
order = ("failed", "passed", "skipped", "xfailed", "xpassed", "error")
text = ", ".join(f"{counts[what]} {what}" for what in order if what in counts)
print(f"========== {text or chr(48)} in {seconds:.2f}s ==========")
'
exit "$status"
