// GNU coreutils.

import type { ConformanceCase } from './cases.js';

const scripts: Readonly<Record<string, string>> = {
	ls: 'echo x >a; mkdir d; ln -s a l; mkfifo p; touch -h -d @1000000000 a d l p; TZ=UTC ls -l; ls -aF; ls -1 nothing; echo $?; ls -R; ls -ld /proc/self/nothing',
	'ls-dev': 'ls -l /dev/null /dev/zero /dev/full /dev/random | cut -c1-30',
	cp: 'mkdir -p s/t; echo x >s/a; ln -s a s/l; ln s/a s/t/h; chmod 751 s/t; touch -d @99 s/a s/t; cp -a s c; find c | sort; stat -c "%a %Y %h %F" c/a c/t; cp s c; cp -r s/t n; cp a a; echo $?; cp --sparse=always s/a z; cat z',
	mv: 'echo 1 >a; echo 2 >b; mkdir d e; mv a b; cat b; mv b d; mv d e; ls -R; mv e e/d/x; echo $?; mv -n e/d/b . ; mv nothing x; echo $?; mv -T e g; ls',
	'mv-across':
		'mkdir -p /dev/shm/cm; echo 1 >a; mv a /dev/shm/cm/; cat /dev/shm/cm/a; mkdir d; echo 2 >d/f; mv d /dev/shm/cm/; find /dev/shm/cm -type f | sort; rm -r /dev/shm/cm',
	ln: 'echo a >a; ln a b; ln -s a c; ln -s nowhere d; ln -sfn b c; readlink c d; cat d; ln a nodir/x; echo $?; ln . x; echo $?; stat -c %h a; ln -L c e; stat -c %F e; ln -P c f; stat -c %F f',
	rm: 'mkdir -p a/b/c; touch a/b/x; rm a; echo $?; rm -d a/b/c; rm -r a; ls; rm -r nothing; echo $?; mkdir d; (cd d; rm -r ../d; rmdir .); echo $?; rm -rf . ; echo $?',
	'rm-many': 'mkdir d; (cd d; seq 500 | xargs touch); ls d | wc -l; rm -r d; ls',
	mkdir:
		'mkdir -p a/b/c a/d; mkdir -v e; mkdir a; echo $?; mkdir -m 1777 t; stat -c %a t; rmdir a; echo $?; rmdir -p a/b/c; ls a; mkdir "$(printf "%0300d" 0)"; echo $?; mkdir f/; mkdir -p e/../g; ls',
	sort: 'seq 3000 | shuf --random-source=/bin/sh | sort -n | md5sum; printf "b 2\\na 10\\nc 1\\n" | sort -k2n; sort -u <<A\nb\na\nb\nA\nseq 200000 | sort -S 100k -T . -r -n | head -2; sort -c <<A\nb\na\nA\necho $?',
	text: 'seq 20 >s; head -n -15 s; tail -n +18 s; cut -c1 s | uniq -c; paste -sd+ s; tac s | head -2; nl s | tail -1; wc s; comm -12 s s | wc -l; pr -t -3 s; od -c s | head -2; shuf -n 1 -i 5-5',
	sums: 'seq 5000 >s; md5sum s; sha1sum s; sha224sum s; sha256sum s; sha512sum s; b2sum s; cksum s; sum s; md5sum s >c; echo x >>s; md5sum -c c; echo $?; base64 s | head -1; base32 s | head -1',
	dd: 'seq 1000 >s; dd if=s of=t bs=100 count=3 skip=2 seek=1 conv=notrunc status=none; stat -c %s t; dd if=s bs=1000 status=none | md5sum; dd if=/dev/zero of=t bs=1M count=3 status=none; stat -c %s t; dd if=s of=u conv=ucase,sync bs=512 status=none; stat -c %s u; seq 10000 | dd bs=7 iflag=fullblock count=9 status=none; dd if=nothing; echo $?; dd if=s of=/dev/full bs=1 count=1 status=none; echo $?',
	split: 'seq 100 >s; split -l 30 s p; ls; split -n 3 -d s q; cat q* | cmp - s; split -b 50 --filter="wc -c" s; csplit -s s 50; wc -l xx*',
	stat: 'echo hello >a; chmod 4755 a; ln -s a l; touch -d @5.25 a; stat -c "%n %s %a %A %F %h %u:%g %U:%G %Y %y" a | TZ=UTC cat; stat -c "%F %s %N" l; stat -L -c %F l; stat -c %F / /dev/null /proc/self/exe; stat -c "%t %T" /dev/zero; stat nothing; echo $?; stat -f -c %T .',
	touch:
		'touch -d @100 a; stat -c %Y a; touch -a -d @50 a; stat -c "%X %Y" a; touch -r a b; stat -c "%X %Y" b; touch -c n; touch d/x; echo $?; ln -s b l; touch -h -d @7 l; stat -c %Y l b; touch -t 197001020000 a; TZ=UTC stat -c %y a; touch ""; echo $?',
	chmod:
		'touch a; chmod 0 a; stat -c %a a; chmod a+rX,u+s,g-r,o=w a; stat -c %A a; mkdir -p d/e; chmod -R g+s d; stat -c %a d d/e; touch d/f; mkdir d/g; stat -c "%a %g" d/f d/g; chmod +x nothing; echo $?; ln -s a l; chmod 711 l; stat -c %a l a; chmod --reference=a d; stat -c %a d',
	chown:
		'touch a; ln -s a l; chown 5:6 a; stat -c %u:%g a; chown :7 a; stat -c %u:%g a; chown -h 9 l; stat -c %u a l; chmod 6755 a; chown 1 a; stat -c %a a; chown nosuch a; echo $?; mkdir d; touch d/x; chown -R 3:3 d; stat -c %u d d/x; chgrp 11 a; stat -c %g a',
	du: 'mkdir d; head -c 20000 /dev/zero >d/a; ln d/a d/b; du -b d/a; du --apparent-size -b d | cut -f2; du -s d | cut -f2; truncate -s 1M s; du -k s',
	links:
		'mkdir -p d/e; ln -s d l; ln -s l/e m; ln -s loop loop; readlink -f m; readlink -f m/nothing; readlink -f m/no/thing; echo $?; realpath m/..; realpath -s m/..; realpath --relative-to=d m; cat loop; readlink -f loop; echo $?; readlink -e nothing; echo $?; ls m/; cat l; cd m; pwd -P; ls ../..',
	mktemp:
		'f=$(mktemp ./x.XXXX); stat -c "%a %s" $f; d=$(mktemp -d); stat -c %a $d; rmdir $d; mktemp nothing/XXXX; echo $?; mktemp -u xXXX | wc -c',
	tee: 'seq 1000 | tee a b | md5sum; cmp a b; echo more | tee -a a | cat; tail -1 a; echo x | tee /dev/full; echo $?; echo y | tee d/x; echo $?',
	timeout:
		'timeout 0.1 sleep 5; echo $?; timeout 5 true; echo $?; timeout -s KILL 0.1 sleep 5; echo $?; timeout 5 sh -c "exit 9"; echo $?; timeout 1 nosuch; echo $?; timeout --preserve-status 0.1 sleep 5; echo $?',
	env: 'env -i A=1 B=2 env; env -u HOME sh -c "echo [$X]"; env nosuch; echo $?; env /etc; echo $?; env -C / pwd; env -S "echo a b"; printenv HOME; nohup echo n 2>&1; nice nice; nice -n 3 nice; stdbuf -oL echo s',
	numbers:
		'seq 1 0.5 3; seq -s, 5; factor 1234567890 97; expr 6 / 4; numfmt --to=iec 123456; printf "%s %d %5.2f %x\\n" a 5 2.5 255; seq 5 -2 1; yes | head -2; echo "a\\tb"; basename /a/b.c .c; dirname /a/b/c; test 1 -eq 1; echo $?; pathchk "a b"; date -u -d @0 +%F; sleep 0.01',
	truncate:
		'truncate -s 10 a; stat -c %s a; truncate -s +5 a; stat -c %s a; truncate -s "<3" a; stat -c %s a; truncate -r a b; stat -c %s b; truncate -s -1 c; stat -c %s c; truncate -s 5 /; echo $?; truncate -c -s 5 n; ls; fallocate -l 10000 f; stat -c %s f; fallocate -p -o 0 -l 4096 f; echo $?',
	identity:
		'id; id -un; whoami; groups; id nobody; logname; tty; hostname >/dev/null; uname -sm; nproc >/dev/null; arch; pwd; umask; who | wc -l; users | wc -c',
	shred:
		'seq 100 >a; shred -u a; ls; install -D -m 611 /etc/hostname x/y/z; stat -c %a x/y/z; unlink x/y/z; ls x/y; link x l; echo $?; mkfifo -m 600 p; stat -c %a p; sync; sync -d x; echo $?; dircolors -b | wc -l; vdir --time-style=+ x; dir; chcon a b 2>/dev/null; echo $?',
	'tail-follow':
		'echo 1 >f; timeout 1 tail ---disable-inotify -n +1 -s 0.1 -f f >o & sleep 0.3; echo 2 >>f; wait $!; cat o; tail ---disable-inotify -f --pid=$$ /dev/null & kill $!; echo $?',
};

export const coreutilsCases: readonly ConformanceCase[] = Object.entries(scripts).map(([name, script]) => ({
	name,
	script: `exec 2>&1; ${script}; true`,
}));
