#!/bin/bash
# Run the tests in three rounds: those that boot a machine, beside them, on all CPUs, most others,
# then, one after the other, those that capture or draw in a browser and want to be alone
# (tests/conftest.py says which). The last line is the sum of all.
#
#   tools/tests.sh PYTHON COVERAGE [PYTEST OPTION...]     COVERAGE: percent that must be reached
set -uo pipefail
python=$1 coverage=$2
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

round() { # NAME OPTION...: no tests selected (5) is no failure of a round
    local name=$1 code=0
    shift
    COVERAGE_FILE=$work/$name "$python" -m pytest --cov --cov-report= "$@" 2>&1 || code=$?
    return $((code == 5 ? 0 : code))
}

SECONDS=0 status=0
# An emulated machine keeps one CPU busy for minutes; nothing in it depends on time.
round machines -m vm "$@" >"$work/log0" &
machines=$!
# Workers must collect the same tests in the same order, those whose names show a set, too.
PYTHONHASHSEED=0 round computing -n "$(nproc)" -m "not (alone or vm)" "$@" | tee "$work/log1" ||
    status=$?
wait $machines || status=$?
cat "$work/log0"
round capturing -m "alone and not vm" --durations=15 "$@" | tee "$work/log2" || status=$?
export COVERAGE_FILE=$work/all
"$python" -m coverage combine --quiet "$work"/machines* "$work"/computing* "$work"/capturing*
"$python" -m coverage report --fail-under="$coverage" || status=$?

grep -hE '^=+ .* in [0-9.]+s' "$work"/log? | "$python" -c '
import re, sys

counts = {}
for line in sys.stdin:
    for number, what in re.findall(r"(\d+) (passed|failed|skipped|xfailed|xpassed|error)", line):
        counts[what] = counts.get(what, 0) + int(number)
order = ("failed", "passed", "skipped", "xfailed", "xpassed", "error")
text = ", ".join(f"{counts[what]} {what}" for what in order if what in counts)
print(f"========== {text or chr(48)} in {sys.argv[1]}.00s ==========")
' "$SECONDS"
exit "$status"
