#!/bin/sh
# Runs every case of a group, on either side: /mnt/cases/NAME.sh (or .bash) with /mnt/cases/NAME.in as its input, in an empty folder.
# Each result goes to standard output at once, so that a group that breaks off shows where:
#   =CASE NAME STATUS OUT_BYTES ERR_BYTES, a newline, both texts, a newline
# Usage: driver.sh SECONDS NAME...
seconds=$1
shift
mkdir -p /tmp/.results
for file in "$@"; do
	mkdir /tmp/work && cd /tmp/work || exit 1
	case $file in
	*.bash) shell=bash ;;
	*) shell=sh ;;
	esac
	timeout -k 1 "$seconds" "$shell" "/mnt/cases/$file" <"/mnt/cases/${file%.*}.in" >/tmp/.results/out 2>/tmp/.results/err
	status=$?
	cd /
	printf '=CASE %s %s %s %s\n' "${file%.*}" "$status" "$(stat -c %s /tmp/.results/out)" "$(stat -c %s /tmp/.results/err)"
	cat /tmp/.results/out /tmp/.results/err
	echo
	rm -rf /tmp/work
done
