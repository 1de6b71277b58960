// The rest of what a distribution brings: findutils, grep, sed, awk, archivers, diff, sqlite3, perl, git, a compiler.

import type { ConformanceCase } from './cases.js';

const git = `export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@x GIT_COMMITTER_NAME=C GIT_COMMITTER_EMAIL=c@x GIT_AUTHOR_DATE='1000000000 +0000'
export GIT_COMMITTER_DATE='1000000000 +0000' GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=init.defaultBranch GIT_CONFIG_VALUE_0=main
git init -q r && cd r && echo one >a && mkdir d && echo two >d/b && git add . && git commit -qm first`;

const tree =
	'mkdir -p t/u/v; seq 100 >t/a; echo x >t/u/b; ln -s ../a t/u/l; chmod 700 t/u/v; touch -h -d @1000 t/a t/u/b t/u/l t/u/v t/u t';

const scripts: Readonly<Record<string, string>> = {
	find: `${tree}; find t | sort; find t -type l -o -name b | sort; find t -perm 700; find t -size +200c; find t -newer t/a | wc -l; find t -name a -exec wc -l {} +; find t -depth -delete; ls; find nothing; echo $?`,
	'find-printf': `${tree}; TZ=UTC find t -printf '%p %y %m %s %T@ %l\\n' | grep -v ' d ' | sort; find t -maxdepth 1 | sort; find -L t -type f | sort; find t -empty; find t -print0 | xargs -0 ls -d | sort`,
	xargs:
		'seq 20 | xargs -n 7; seq 8 | xargs -P 4 -n 1 sh -c "echo \\$0" | sort -n; echo "a b" | xargs -I X echo "[X]"; seq 3 | xargs -n 1 false; echo $?; seq 40000 | xargs echo | wc -w; echo x | xargs nosuch; echo $?',
	grep: `${tree}; grep -n 5 t/a | head -3; grep -rc 1 t | sort; grep -v . t/a; grep -E '^(1|2)0$' t/a; grep -o '[0-9]$' t/a | sort -u | wc -l; grep -q zz t/a; echo $?; grep x nothing; echo $?; grep -P '\\d{3}' t/a; echo abc | grep -i B --color=always; grep -l x -r t; grep a t`,
	sed: `seq 10 >s; sed -n 3,5p s; sed 's/1/one/g;2d;$!N;P;D' s; sed -i.bak 's/^/> /' s; cat s s.bak | md5sum; sed -e '/5/{h;d}' -e '$G' s; sed '1w out' s >/dev/null; cat out; sed p nothing; echo $?; echo abc | sed -E 's/(a)(b)/\\2\\1/;y/c/C/'`,
	gawk: `seq 10 | gawk '{ s += $1; a[NR % 3] = a[NR % 3] " " $1 } END { print s; n = asorti(a, k); for (i = 1; i <= n; i++) print k[i], a[k[i]] }'; gawk 'BEGIN { "echo sub" | getline x; print x; print "b\\na" | "sort"; close("sort"); system("echo sys; exit 3"); printf "%05.1f\\n", 3.14159; print toupper(substr("hello", 2, 3)), ENVIRON["HOME"]; exit 4 }'; echo $?`,
	mawk: `seq 5 | mawk '{ print $1 * 2 > "o" } END { close("o"); while ((getline l < "o") > 0) print "got", l }'; mawk -F: '$3 < 3 { print $1 }' /etc/passwd`,
	tar: `${tree}; tar --sort=name -cf x.tar t; TZ=UTC tar tvf x.tar; rm -r t; tar xf x.tar; TZ=UTC find t -printf '%p %m %T@\\n' | sort; tar --sort=name -czf x.tgz t; tar tzf x.tgz | wc -l; tar -C / -cf - etc/passwd | tar xf - -O | head -1; tar xf nothing; echo $?; tar --sort=name -cJf x.txz t; tar xJf x.txz -O t/u/b`,
	compress: `seq 20000 >s; for c in gzip xz bzip2; do $c -k s; $c -dc s.* | cmp - s; rm s.*; done; gzip -9 <s | gzip -d | md5sum; gzip s; ls; gunzip s.gz; echo x | gzip -d; echo $?; xz -T2 -k s; xz -t s.xz; echo $?; xz -l s.xz | wc -l`,
	diff: `seq 10 >a; seq 2 12 >b; diff a b; echo $?; diff -u --label a --label b a b; diff -q a b; mkdir x y; cp a x; cp b y/a; diff -r x y | head -3; cmp a b; echo $?; diff3 a b a; sdiff -s a b; diff -u --label a --label a a b >p; patch -s a p; cmp a b; echo $?`,
	sqlite: `sqlite3 d.db 'create table t(a integer primary key, b text); insert into t(b) values ("x"),("y"); select * from t;'; sqlite3 d.db 'pragma journal_mode=wal; with recursive n(i) as (select 1 union all select i+1 from n where i<2000) insert into t(b) select i from n; select count(*), sum(a) from t; pragma integrity_check;'; sqlite3 d.db 'create index i on t(b); select a from t where b="77"; delete from t where a>5; vacuum; select count(*) from t; begin; delete from t; rollback; select count(*) from t'; ls; for i in 1 2 3 4; do sqlite3 -cmd '.timeout 9000' d.db 'insert into t(b) values (9)' & done; wait; sqlite3 d.db 'select count(*) from t'; sqlite3 d.db .dump | tail -3; sqlite3 /nothing/x 'select 1; create table t(a)'; echo $?`,
	perl: `perl -e 'print "a".("b" x 3)."\\n"; my %h = (x => 1, y => 2); print join(",", map { "$_=$h{$_}" } sort keys %h), "\\n"; open(F, ">", "f") or die; print F "line $_\\n" for 1..5; close F; open(F, "f"); my @l = <F>; print scalar(@l), $l[2]; print -s "f", " ", (stat "f")[7], "\\n"; my $o = \`echo sub; exit 3\`; print $o, $? >> 8, "\\n";'`,
	'perl-processes': `perl -e '$| = 1; pipe(R, W); if (!fork) { close R; print W "from child\\n"; exit 5 } close W; print <R>; wait; print $? >> 8, "\\n"; $SIG{ALRM} = sub { die "alarm\\n" }; alarm 1; eval { select(undef, undef, undef, 5) }; print $@; $SIG{USR1} = sub { print "usr1\\n" }; kill USR1 => $$; open(P, "-|", "seq 3") or die; print "p $_" while <P>; close P; exec "echo", "replaced"'`,
	'git-commit': `${git}; git log --format='%H %s %an %ad'; git status --short; echo more >>a; git diff --stat; git status --short; git commit -qam second; git log --oneline; git ls-tree -r HEAD; git show --stat --format=%s; git cat-file -p HEAD^{tree}; git rev-parse HEAD`,
	'git-branch': `${git}; git checkout -q -b side; echo s >s; git add s; git commit -qm side; git checkout -q main; echo m >>a; git commit -qam main; git merge -q side -m merged; git log --oneline --graph; git branch; git tag v1; git describe; git stash list; git mv a z; git rm -q s; git status --short; git reset -q --hard; ls; git grep -n two`,
	'git-clone': `${git}; cd ..; git clone -q r c; cd c; git log --oneline; cat d/b; echo n >n; git add n; git commit -qm third; git push -q origin HEAD:refs/heads/up; cd ../r; git branch; git log --oneline up; git clone -q --bare . ../bare.git; ls ../bare.git; git -C ../bare.git rev-list --count --all`,
	'git-gc': `${git}; for i in 1 2 3 4 5; do seq $i 300 >f$i; git add .; git commit -qm c$i; done; git gc -q; ls .git/objects; git fsck; git count-objects -v | grep -v size; git log --oneline | wc -l; git archive HEAD | tar t; git bisect start -q HEAD HEAD~3 >/dev/null; echo $?`,
	gcc: `printf '#include <stdio.h>\\n#include "h.h"\\nint main(int c, char **v) { printf("%%d %%s\\\\n", f(c), v[1]); return 3; }\\n' >m.c; echo 'int f(int);' >h.h; printf '#include "h.h"\\nint f(int x) { return x * 21; }\\n' >f.c; gcc -O2 -Wall -c m.c f.c && gcc -o p m.o f.o && ./p arg; echo $?; gcc -static -o q m.c f.c && ./q st; gcc -shared -fPIC -o libf.so f.c && gcc -o r m.c -L. -lf && LD_LIBRARY_PATH=. ./r so; ./r; echo $?; nm p | grep -c ' T f$'; ar rcs l.a f.o; gcc m.o l.a -o s; ./s ar; echo 'int x' | gcc -xc -c - 2>&1 | grep -c error; strip p; ./p stripped`,
	make: `printf 'all: p\\n\\t@./p\\np: m.o f.o\\n\\tgcc -o $@ $^\\n%%.o: %%.c\\n\\tgcc -c $<\\nclean:\\n\\trm -f *.o p\\n' >Makefile; echo 'int f(void); int main(void) { return f() - 7; }' >m.c; echo 'int f(void) { return 7; }' >f.c; make; echo $?; make; touch -d '+1 hour' f.c; make 2>/dev/null | grep -v -i clock; make clean; make -s -j2 2>/dev/null; echo $?; make nothing; echo $?`,
};

export const toolCases: readonly ConformanceCase[] = Object.entries(scripts).map(([name, script]) => ({
	name,
	script: `exec 2>&1; ${script}; true`,
}));
