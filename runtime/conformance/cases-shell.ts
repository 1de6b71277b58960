// dash and bash scripts.

import type { ConformanceCase } from './cases.js';

const both: Readonly<Record<string, string>> = {
	pipeline: 'seq 1000 | grep 7 | sort -rn | head -3; false | true; echo $?; true | false; echo $?',
	'long-pipeline': 'yes | cat | cat | cat | cat | cat | cat | cat | head -c 200000 | md5sum',
	'trap-exit': 'trap "echo leaving" EXIT; echo here; true',
	'trap-usr1': 'trap "echo got usr1" USR1; kill -USR1 $$; echo after; (kill -USR1 $$); sleep 0.1; echo end',
	'trap-from-child': 'trap "echo term; exit 0" TERM; (sleep 0.1; kill -TERM $$) & while :; do sleep 0.05; done',
	'trap-ignored': 'trap "" INT; sh -c "kill -INT \\$\\$; echo alive"; trap - INT; sh -c "kill -INT \\$\\$; echo dead"; echo $?',
	'here-document': 'x=5; cat <<A; cat <<"B"; cat <<-C\nx is $x $(echo sub)\nA\nx is $x\nB\n\ttabbed\n\tC',
	'here-document-large': 'x=$(seq 20000); cat <<A | md5sum\n$x\nA',
	subshell: '(cd /; pwd; x=3); pwd; echo "[$x]"; (exit 9); echo $?; ( ( (echo deep) ) )',
	'command-substitution': 'echo "$(echo "$(echo inner) outer")"; x=$(exit 4); echo $?; echo `echo back \\`echo tick\\``',
	'substitution-large': 'x=$(seq 50000); echo ${#x}',
	'read-loop':
		'printf "a 1\\nb 2\\nc" | while read n v; do echo "$v:$n"; done; printf "x\\ny\\n" >f; while read l; do echo "$l"; done <f; read l </dev/null; echo $?',
	'read-shared-offset':
		'printf "one\\ntwo\\nthree\\n" >f; { read a; cat; echo "a=$a"; } <f; exec 5<f; read a <&5; (read b <&5; echo $b); read c <&5; echo $a $c',
	redirections:
		'echo out >f; echo more >>f; cat <f; ls nothing 2>&1 | cat; { echo e >&2; echo o; } 2>g; cat g; exec 3>h; echo three >&3; exec 3>&-; cat h; echo x >&3; echo $?',
	noclobber: 'set -C; echo a >f; echo b >f; echo $?; echo c >|f; cat f',
	'redirect-both-ways': 'printf abcdef >f; exec 3<>f; head -c 2 <&3 >/dev/null; printf XY >&3; exec 3>&-; wc -c f',
	background: 'sleep 0.1 & p=$!; wait $p; echo $?; (exit 6) & wait $!; echo $?; for i in 1 2 3; do (exit $i) & done; wait; echo $?',
	'kill-child':
		// Whether dash says "Terminated" hangs on when it looks.
		'sleep 100 & kill $!; wait $! 2>/dev/null; echo $?; sleep 100 & kill -9 $!; wait $! 2>/dev/null; echo $?; kill -0 $! 2>/dev/null; echo $?',
	'stop-continue':
		'sh -c "kill -STOP \\$\\$; echo continued" & p=$!; while ! grep -q "^State:.T" /proc/$p/status; do sleep 0.02; done; kill -CONT $p; wait $p; echo $?',
	'group-kill': 'setsid sh -c "trap : TERM; sleep 50 & sleep 50 & sleep 0.1; kill 0; wait; echo group" >o 2>&1 & wait $!; cat o',
	sigpipe: '(yes; echo $? >s) | head -1; sleep 0.05; cat s',
	'exit-status':
		'nosuchcommand; echo $?; /etc; echo $?; /etc/passwd; echo $?; (sh -c "kill -SEGV \\$\\$"; echo $?) 2>/dev/null; sh -c "exit 300"; echo $?',
	'not-executable':
		'echo "echo ran" >s; ./s; echo $?; chmod +x s; ./s; printf "#!/nowhere\\n" >t; chmod +x t; ./t; echo $?; : >e; chmod +x e; ./e; echo $?',
	'interpreter-argument':
		'printf "#!/bin/sh -e\\necho \\$0 \\$1; false; echo not\\n" >s; chmod +x s; ./s 1; echo $?; printf "#!./s extra\\n" >n; chmod +x n; ./n a; echo $?',
	globs: 'touch a1 a2 b1 .hid; echo *; echo a?; echo [!a]*; echo .h*; echo nothing*; mkdir -p d/e; touch d/e/f; echo d/*/f; echo */',
	functions: 'f() { echo "$# $*"; return 3; }; f a "b c"; echo $?; g() { f "$@"; }; g 1 2 3; unset -f f; f; echo $?',
	expansion:
		'x=/a/b/c.tar.gz; echo ${x##*/} ${x%%.*} ${x#/a} ${x%.gz} ${y:-def} ${y:=set} $y ${#x}; set -- a b c; echo $# "$*"; shift; echo $1; IFS=:; echo $PATH | tr " " "\\n" | head -2',
	arithmetic: 'echo $((7/2)) $((7%2)) $((1<<10)) $((0x1f)) $((010)) $((3>2&&1)); i=5; while [ $i -gt 0 ]; do i=$((i-1)); done; echo $i',
	case: 'for x in apple 42 "" -f; do case $x in [0-9]*) echo num;; "") echo empty;; a*|b*) echo ab;; *) echo other;; esac; done',
	cd: 'mkdir -p a/b; ln -s a/b l; cd l; pwd; pwd -P; cd ..; pwd; cd - >/dev/null; cd -P ..; pwd; cd nowhere; echo $?; cd; pwd',
	'cd-removed': 'mkdir d; cd d; rmdir ../d; pwd -P 2>/dev/null; touch x; echo $?; cd ..; echo $?',
	umask: 'umask; umask 077; : >f; mkdir d; stat -c %a f d; umask 027; : >g; stat -c %a g',
	ulimit: 'ulimit -n; ulimit -n 20; ulimit -n; ulimit -n 30; echo $?; sh -c "ulimit -n"; ulimit -c 0; ulimit -c',
	'descriptor-limit':
		'ulimit -n 10; head -c 1 9</dev/null 8</dev/null 7</dev/null 6</dev/null 5</dev/null 4</dev/null 3</dev/null /etc/passwd 2>/dev/null; test $? -ne 0; echo $?',
	'file-size-limit': 'ulimit -f 1; (head -c 5000 /dev/zero >f; echo $?) 2>/dev/null; stat -c %s f',
	exec: 'exec 3>&1; (exec echo replaced >&3); exec sh -c "echo new \\$0" name',
	'exec-removed': 'cp /bin/echo e; ./e one; rm e; ./e two; echo $?',
	env: 'A=1 sh -c "echo \\$A"; echo "[$A]"; export B=2; env | grep "^B="; env -u B sh -c "echo [\\$B]"; C=3; sh -c "echo [\\$C]"',
	'process-group': 'sh -c "echo \\$PPID" | grep -q "^$$\\$"; echo $?; a=$(ps -o pgid= -p $$); b=$(ps -o sid= -p $$); test -n "$a"; echo $?',
	'many-processes':
		'i=0; while [ $i -lt 100 ]; do /bin/true & i=$((i+1)); done; wait; echo $?; i=0; while [ $i -lt 50 ]; do (exit $i); i=$((i+1)); done; echo $?',
	'deep-subshells': 'f() { [ $1 -eq 0 ] && echo bottom || (f $(($1-1))); }; f 25',
	fifo: 'mkfifo p; (cat p >got) & echo through >p; wait; cat got; (sleep 0.1; echo late >p) & read x <p; echo $x; wait',
	'fifo-many': 'mkfifo p; { for i in 1 2 3 4; do seq $i 10 & done; wait; } >p & sort -n <p | md5sum; wait',
	'dev-files':
		'echo x >/dev/null; head -c 3 /dev/zero | od -c; echo err >/dev/stderr; echo out >/dev/stdout; echo in | cat /dev/stdin; echo fd | cat /dev/fd/0; echo x >/dev/full; echo $?; head -c 8 /dev/urandom | wc -c',
	proc: 'readlink /proc/self/exe; cat /proc/self/comm; tr "\\0" " " </proc/self/cmdline; echo; test "$(readlink /proc/$$/cwd)" = "$(pwd)"; echo $?; grep -c . /proc/self/status >/dev/null; echo $?; cat /proc/$$/nothing 2>/dev/null; echo $?; ls -d /proc/self/fd',
	'read-only-root':
		'echo x >/etc/new; echo $?; rm /etc/passwd; echo $?; mkdir /usr/x; echo $?; touch /etc/passwd; echo $?; ln -s a /l; echo $?; mv /etc/passwd /tmp/p; echo $?; chmod 600 /etc/passwd; echo $?',
	user: 'chmod 700 .; setpriv --reuid 1000 --regid 1000 --clear-groups sh -c "id -u; id -g; id -G; cat /etc/shadow; ls .; kill -0 1; echo x >/tmp/uu; stat -c %u /tmp/uu; rm -f /tmp/uu; kill -0 $$"; echo $?',
	'sticky-folder':
		'mkdir s; chmod 1777 s; echo x >s/f; setpriv --reuid 1000 --regid 1000 --clear-groups sh -c "rm -f s/f; echo $?; echo y >s/g; rm s/g; echo \\$?; mv s/f s/h"; ls s',
	'no-new-privs': 'cp /usr/bin/id i; chown 1:1 i; chmod 6755 i; ./i -u; stat -c %a i; grep NoNewPrivs /proc/self/status',
};

const bashOnly: Readonly<Record<string, string>> = {
	arrays:
		'a=(x "y z" w); echo ${#a[@]} "${a[1]}" ${!a[@]}; declare -A m=([k]=v [j]=w); for k in $(printf "%s\\n" "${!m[@]}" | sort); do echo $k=${m[$k]}; done; a+=(q); unset "a[0]"; echo "${a[@]}"',
	'process-substitution': 'diff <(seq 3) <(seq 4); echo $?; cat <(echo a) <(echo b); seq 5 > >(sort -rn >o); wait; sleep 0.2; cat o',
	pipefail:
		'set -o pipefail; false | true; echo $?; true | true; echo ${PIPESTATUS[@]}; (exit 3) | (exit 5) | true; echo "${PIPESTATUS[@]}"',
	coproc:
		'coproc C { while read l; do echo "<$l>"; done; }; echo hi >&${C[1]}; read r <&${C[0]}; echo $r; eval "exec ${C[1]}>&-"; wait; echo $?',
	'wait-n': 'sleep 0.3 & (exit 4) & wait -n; echo $?; wait -n; echo $?; wait -n; echo $?',
	'err-trap': 'trap "echo err at \\$LINENO" ERR; false; true; (exit 3); echo end',
	'here-string': 'cat <<<"a string $((1+1))"; read a b <<<"1 2"; echo $b$a; tr a-z A-Z <<<abc',
	regex:
		'[[ abc123 =~ ^([a-z]+)([0-9]+)$ ]] && echo ${BASH_REMATCH[@]}; [[ a < b ]]; echo $?; x=Hello; echo ${x,,} ${x^^} ${x/l/L} ${x//l/L} ${x:1:3}',
	'read-timeout':
		'read -t 0.1 x < <(sleep 1); test $? -gt 128; echo $?; read -n 3 x <<<abcdef; echo $x; mapfile -t m < <(seq 4); echo ${m[2]}; IFS=, read -ra p <<<1,2,3; echo ${p[1]}',
	'exec-descriptors':
		'exec {fd}>f; echo $((fd>=10)); echo via >&$fd; exec {fd}>&-; cat f; exec 3<<<text; cat <&3; exec 4>&1 1>g; echo hidden; exec 1>&4 4>&-; cat g',
	'trap-signals':
		'trap "echo hup" HUP; trap "echo alrm" ALRM; trap "echo chld" CHLD; kill -HUP $$; kill -ALRM $$; /bin/true; trap -p | head -3; kill -l 10; for s in TERM INT QUIT; do (trap - $s; exec sh -c "kill -$s \\$\\$") ; echo $?; done 2>/dev/null',
	'printf-time':
		"printf '%s %q %b\\n' a 'b c' 'd\\te'; TZ=UTC printf '%(%Y)T\\n' 0; printf -v x %03d 7; echo $x; time -p true 2>/dev/null; SECONDS=5; [ $SECONDS -ge 5 ]; echo $?",
	'subshell-pids':
		'[ $BASHPID = $$ ]; echo $?; ( [ $BASHPID = $$ ]; echo $? ); echo $BASH_SUBSHELL; (echo $BASH_SUBSHELL); x=$(sh -c "echo \\$PPID"); [ "$x" = $$ ]; echo $?',
	'long-argument-list':
		'x=$(printf "%01000d" 0); a=(); for i in {1..300}; do a+=($x); done; /bin/echo "${a[@]}" | wc -c; export BIG=$(head -c 200000 /dev/zero | tr "\\0" x); /bin/true; echo $?',
	'select-less': 'shopt -s globstar nullglob extglob; mkdir -p a/b; touch a/x a/b/y z.c; echo **/*; echo *.none',
	'exit-in-pipeline': 'f() { exit 3; }; f | cat; echo $?; x=$(f); echo $?; set -e; false || echo kept; (set +e; false; echo sub); true',
};

export const shellCases: readonly ConformanceCase[] = [
	...Object.entries(both).flatMap(([name, script]): ConformanceCase[] => [
		{ name: `dash-${name}`, script: script },
		{ name: `bash-${name}`, script: script, shell: 'bash' },
	]),
	...Object.entries(bashOnly).map(([name, script]): ConformanceCase => ({ name: `bash-${name}`, script: script, shell: 'bash' })),
];
