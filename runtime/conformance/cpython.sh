#!/bin/sh
# Runs CPython's own tests, on either side: `=MODULE NAME` and the lines of cpython.py on standard output, what they say on standard error.
# Usage: cpython.sh root|nobody SECONDS MODULE...
user=$1 seconds=$2
shift 2
mkdir /tmp/home /tmp/results
if [ "$user" = nobody ]; then
	chown nobody /tmp/home /tmp/results
	as='setpriv --reuid 65534 --regid 65534 --clear-groups'
fi
cd /tmp/home || exit 1
for module in "$@"; do
	HOME=/tmp/home TMPDIR=/tmp timeout -k 2 "$seconds" $as python3 /mnt/cpython.py "/tmp/results/$module" "$module" >&2 </dev/null
	echo "=MODULE $module"
	cat "/tmp/results/$module"
done
