// A pty and all that is done to it: what each call answers, and every byte that either side reads.
#define _GNU_SOURCE
#include <asm/ioctls.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define SHOW(call) do { errno = 0; long r = (long)(call); printf("%d %s = %ld %s\n", __LINE__, #call, r, r < 0 ? strerrorname_np(errno) : ""); fflush(stdout); } while (0)
#define BAD ((void *)8)
// By number: their names need a structure that clashes with the C library's.
#undef TCGETS2
#undef TCSETSW2
#define TCGETS2 0x802c542a
#define TCSETSW2 0x402c542c

static int master, slave;

// The host hands bytes over in a worker of its own.
static void settle(void) { usleep(30000); }

static void show(const char *what, int fd, size_t size) {
	unsigned char bytes[70000];
	settle();
	// On a busy machine that takes longer.
	poll(&(struct pollfd){fd, POLLIN, 0}, 1, 40);
	errno = 0;
	long n = read(fd, bytes, size);
	printf("%s: %ld %s ", what, n, n < 0 ? strerrorname_np(errno) : "");
	for (long i = 0; i < n && i < 300; i++) printf(bytes[i] >= 32 && bytes[i] < 127 && bytes[i] != '\\' ? "%c" : "\\%03o", bytes[i]);
	printf("\n");
	fflush(stdout);
}

static void type(const char *text, size_t length) {
	printf("-- type");
	for (size_t i = 0; i < length && i < 100; i++) printf(text[i] >= 32 && text[i] < 127 ? "%c" : "\\%03o", (unsigned char)text[i]);
	printf("\n");
	if (write(master, text, length) != (long)length) printf("short write %s\n", strerrorname_np(errno));
}
#define TYPE(text) type(text, sizeof(text) - 1)

static void both(const char *typed, size_t length) {
	type(typed, length);
	show("echo", master, 60000);
	show("read", slave, 60000);
}
#define BOTH(text) both(text, sizeof(text) - 1)

static struct termios initial;
static void set(tcflag_t iOn, tcflag_t iOff, tcflag_t oOn, tcflag_t oOff, tcflag_t lOn, tcflag_t lOff) {
	struct termios t = initial;
	t.c_iflag = (t.c_iflag | iOn) & ~iOff;
	t.c_oflag = (t.c_oflag | oOn) & ~oOff;
	t.c_lflag = (t.c_lflag | lOn) & ~lOff;
	if (tcsetattr(slave, TCSAFLUSH, &t) != 0) printf("tcsetattr %s\n", strerrorname_np(errno));
	printf("== %o/%o %o/%o %o/%o\n", iOn, iOff, oOn, oOff, lOn, lOff);
	char rest[70000];
	settle();
	while (read(master, rest, sizeof rest) > 0) {}
}

static void events(const char *what, int fd) {
	struct pollfd p = {fd, POLLIN | POLLOUT | POLLPRI | POLLRDNORM | POLLWRNORM, 0};
	settle();
	int n = poll(&p, 1, 0);
	printf("%s: poll %d %x\n", what, n, p.revents);
}

static void settings(void) {
	unsigned char raw[64];
	memset(raw, 0x55, sizeof raw);
	SHOW(ioctl(slave, TCGETS, raw));
	for (int i = 0; i < 40; i++) printf("%02x", raw[i]);
	printf("\n");
	memset(raw, 0x55, sizeof raw);
	SHOW(ioctl(master, TCGETS2, raw));
	for (int i = 0; i < 48; i++) printf("%02x", raw[i]);
	printf("\n");
	memset(raw, 0x55, sizeof raw);
	SHOW(ioctl(slave, TCGETA, raw));
	for (int i = 0; i < 20; i++) printf("%02x", raw[i]);
	printf("\n");
	struct termios t = initial;
	t.c_cflag = B115200 | CS7 | PARENB | CSTOPB | HUPCL;
	t.c_cc[VMIN] = 9;
	SHOW(tcsetattr(slave, TCSANOW, &t));
	SHOW(ioctl(slave, TCGETS2, raw));
	for (int i = 0; i < 44; i++) printf("%02x", raw[i]);
	printf("\n");
	*(unsigned *)(raw + 8) = (*(unsigned *)(raw + 8) & ~0x100fu) | 0x1000;
	*(unsigned *)(raw + 36) = 1234;
	*(unsigned *)(raw + 40) = 4321;
	SHOW(ioctl(slave, TCSETSW2, raw));
	SHOW(ioctl(slave, TCGETS2, raw));
	for (int i = 0; i < 44; i++) printf("%02x", raw[i]);
	printf("\n");
	tcsetattr(slave, TCSANOW, &initial);
	SHOW(ioctl(slave, TCGETS, BAD));
	SHOW(ioctl(slave, TCSETS, BAD));
	SHOW(ioctl(slave, TIOCGWINSZ, BAD));
}

static void requests(const char *name, int fd) {
	int value = 77;
	struct winsize size = {11, 22, 33, 44}, got = {9, 9, 9, 9};
	printf("requests of %s\n", name);
	SHOW(isatty(fd));
	SHOW(ioctl(fd, TIOCGWINSZ, &got));
	printf("%d %d %d %d\n", got.ws_row, got.ws_col, got.ws_xpixel, got.ws_ypixel);
	SHOW(ioctl(fd, TIOCSWINSZ, &size));
	SHOW(ioctl(fd, TIOCGWINSZ, &got));
	printf("%d %d %d %d\n", got.ws_row, got.ws_col, got.ws_xpixel, got.ws_ypixel);
	memset(&size, 0, sizeof size);
	SHOW(ioctl(fd, TIOCSWINSZ, &size));
	SHOW(ioctl(fd, FIONREAD, &value)); printf("%d\n", value);
	SHOW(ioctl(fd, TIOCOUTQ, &value)); printf("%d\n", value);
	SHOW(ioctl(fd, TIOCGETD, &value)); printf("%d\n", value);
	value = 0; SHOW(ioctl(fd, TIOCSETD, &value));
	value = 99; SHOW(ioctl(fd, TIOCSETD, &value));
	value = 0;
	SHOW(ioctl(fd, TIOCGPTN, &value)); printf("%d\n", value == 77 ? value : 0);
	value = 0; SHOW(ioctl(fd, TIOCSPTLCK, &value));
	SHOW(ioctl(fd, TIOCGPTLCK, &value)); printf("%d\n", value);
	SHOW(ioctl(fd, TIOCGPKT, &value)); printf("%d\n", value);
	value = 0; SHOW(ioctl(fd, TIOCPKT, &value));
	SHOW(ioctl(fd, TIOCGEXCL, &value)); printf("%d\n", value);
	SHOW(ioctl(fd, TIOCEXCL, 0)); SHOW(ioctl(fd, TIOCGEXCL, &value)); printf("%d\n", value);
	SHOW(ioctl(fd, TIOCNXCL, 0));
	SHOW(ioctl(fd, TIOCGSOFTCAR, &value)); printf("%d\n", value);
	SHOW(ioctl(fd, TIOCMGET, &value));
	SHOW(ioctl(fd, TIOCGICOUNT, raise));
	SHOW(ioctl(fd, TIOCGSERIAL, BAD));
	SHOW(ioctl(fd, TIOCCONS, 0));
	SHOW(ioctl(fd, TIOCVHANGUP, 0));
	SHOW(ioctl(fd, TCSBRK, 1)); SHOW(ioctl(fd, TCSBRK, 0)); SHOW(ioctl(fd, TCSBRKP, 0));
	SHOW(ioctl(fd, TIOCSBRK, 0)); SHOW(ioctl(fd, TIOCCBRK, 0));
	SHOW(ioctl(fd, TCFLSH, 0)); SHOW(ioctl(fd, TCFLSH, 1)); SHOW(ioctl(fd, TCFLSH, 2)); SHOW(ioctl(fd, TCFLSH, 3));
	SHOW(ioctl(fd, TCXONC, 1)); SHOW(ioctl(fd, TCXONC, 4));
	SHOW(ioctl(fd, TIOCGPGRP, &value)); SHOW(ioctl(fd, TIOCSPGRP, &value)); SHOW(ioctl(fd, TIOCGSID, &value));
	SHOW(ioctl(fd, TIOCNOTTY, 0));
	SHOW(ioctl(fd, TIOCSIG, 9)); SHOW(ioctl(fd, TIOCSIG, SIGINT));
	SHOW(ioctl(fd, 0x54ff, 0)); SHOW(ioctl(fd, 0x5600, 0));
	SHOW(lseek(fd, 0, SEEK_SET)); SHOW(ftruncate(fd, 0)); SHOW(pread(fd, &value, 1, 0)); SHOW(fsync(fd));
	events(name, fd);
}

static void lines(void) {
	set(0, 0, 0, 0, 0, 0);
	BOTH("hello\n"); BOTH("cr\r"); BOTH("ab\177c\n"); BOTH("one two  three\027x\n"); BOTH("gone\025kept\n");
	BOTH("a\tb\tc\177\177\177\177d\n"); BOTH("ctl\001\002\177x\n"); BOTH("lit\026\003eral\026\177\n"); BOTH("re\022print\n");
	BOTH("partial"); BOTH(" rest\nsecond\nthird"); show("second", slave, 100); BOTH("\n");
	TYPE("abcdef\n"); show("three", slave, 3); show("rest", slave, 100);
	TYPE("eof\004"); show("eof", slave, 100); TYPE("\004"); show("empty", slave, 100);
	TYPE("abc\004"); show("exact", slave, 3); show("nothing", slave, 3); TYPE("abc\n\004"); show("exact line", slave, 3); show("newline", slave, 3); show("eof", slave, 3);
	BOTH("x\000y\377z\n"); BOTH("\303\244\177!\n"); BOTH("\177\177\025\027\n"); BOTH("\033[A\n"); BOTH("big\n\n\n"); show("line", slave, 9); show("line", slave, 9);
	set(IUTF8, 0, 0, 0, 0, 0); BOTH("\303\244\177!\n"); BOTH("\303\244\303\266\177\177\n"); BOTH("\303\244\t\177x\n");
	set(0, 0, 0, 0, 0, ECHO); BOTH("silent\177\n"); BOTH("a\025b\n");
	set(0, 0, 0, 0, ECHONL, ECHO); BOTH("newline\n");
	set(0, 0, 0, 0, 0, ECHOE); BOTH("ab\177\177c\n"); BOTH("k\025l\n");
	set(0, 0, 0, 0, 0, ECHOK); BOTH("k\025l\n");
	set(0, 0, 0, 0, 0, ECHOKE); BOTH("k\025l\n");
	set(0, 0, 0, 0, 0, ECHOCTL); BOTH("c\001\177\003x\n"); BOTH("\004");
	set(0, 0, 0, 0, ECHOPRT, 0); BOTH("abc\177\177x\n"); BOTH("a b\027\177y\n");
	set(0, 0, 0, 0, 0, IEXTEN); BOTH("w x\027\026\022\n");
	set(0, ICRNL, 0, 0, 0, 0); BOTH("cr\rnl\n"); set(INLCR, ICRNL, 0, 0, 0, 0); BOTH("nl\ncr\r\004");
	set(IGNCR, 0, 0, 0, 0, 0); BOTH("i\rg\n"); set(ISTRIP, 0, 0, 0, 0, 0); BOTH("\341\342\n"); set(IUCLC, 0, 0, 0, 0, 0); BOTH("ABC\n");
	set(PARMRK, 0, 0, 0, 0, 0); BOTH("p\377q\n");
	set(0, 0, 0, OPOST, 0, 0); BOTH("raw\n"); set(0, 0, 0, ONLCR, 0, 0); BOTH("nl\n");
	// Longer than a line may be.
	static char big[5000];
	memset(big, 'x', sizeof big); big[4094] = 'a'; big[4095] = 'b'; big[4096] = 'c'; big[4998] = 'd';
	set(0, 0, 0, 0, 0, ECHO); type(big, sizeof big); settle(); TYPE("\n");
	{ static char got[6000]; settle(); long n = read(slave, got, sizeof got); printf("long line %ld %.2s %d\n", n, got + 4093, got[n - 1]); }
	// Another end of line.
	struct termios t = initial; t.c_cc[VEOL] = ';'; t.c_cc[VEOL2] = '!'; tcsetattr(slave, TCSANOW, &t);
	TYPE("a;b!c\n"); show("eol", slave, 50); show("eol2", slave, 50); show("nl", slave, 50); show("echo", master, 100);
}

static void output(void) {
	set(0, 0, 0, 0, 0, 0); SHOW(write(slave, "a\nb\tc\rd\be\177\001\n", 12)); show("out", master, 1000);
	set(0, 0, XTABS, 0, 0, 0); SHOW(write(slave, "a\tbc\t\td\n\t|\b\b\t|\r\t|", 19)); show("out", master, 1000);
	set(0, 0, OLCUC, 0, 0, 0); SHOW(write(slave, "Abc\n", 4)); show("out", master, 1000);
	set(0, 0, OCRNL, 0, 0, 0); SHOW(write(slave, "a\rb\n", 4)); show("out", master, 1000);
	set(0, 0, ONOCR | OCRNL, 0, 0, 0); SHOW(write(slave, "\ra\rb\n", 5)); show("out", master, 1000);
	set(0, 0, ONOCR, 0, 0, 0); SHOW(write(slave, "\r\ra\rb\n", 6)); show("out", master, 1000);
	set(0, 0, ONLRET, ONLCR, 0, 0); SHOW(write(slave, "ab\n\tc\n", 6)); show("out", master, 1000);
	set(0, 0, 0, OPOST, 0, 0); SHOW(write(slave, "a\n\tb", 4)); show("out", master, 1000);
	set(0, 0, 0, 0, 0, 0); TYPE("ab"); settle(); SHOW(write(slave, "12345\b", 6)); TYPE("\tc\177\177\177\n"); show("columns", master, 1000); show("read", slave, 10);
	// Stopped and started.
	set(0, 0, 0, 0, 0, 0); TYPE("\023"); settle(); events("stopped", slave); SHOW(write(slave, "held", 4)); show("nothing", master, 100);
	TYPE("x"); settle(); TYPE("\021"); show("echo", master, 100); SHOW(write(slave, "go", 2)); show("go", master, 100);
	set(IXANY, 0, 0, 0, 0, 0); TYPE("\023"); settle(); SHOW(write(slave, "held", 4)); TYPE("y"); settle(); SHOW(write(slave, "go", 2)); show("any", master, 100);
	SHOW(tcflow(slave, TCOOFF)); SHOW(write(slave, "z", 1)); TYPE("\021"); settle(); SHOW(write(slave, "z", 1)); SHOW(tcflow(slave, TCOON)); SHOW(write(slave, "z", 1)); show("flow", master, 9);
	SHOW(tcflow(slave, TCIOFF)); SHOW(tcflow(slave, TCION)); show("xchar", master, 9);
	SHOW(tcflush(slave, TCOFLUSH));
	TYPE("lost\n"); settle(); SHOW(tcflush(slave, TCIFLUSH)); show("flushed", slave, 9); show("echo", master, 100);
}

static void raw(void) {
	struct termios t = initial;
	cfmakeraw(&t);
	tcsetattr(slave, TCSAFLUSH, &t);
	show("rest", master, 60000);
	BOTH("raw\r\n\003\004\023\021\177"); TYPE("abcdef"); show("part", slave, 4); show("part", slave, 4); show("none", slave, 4);
	events("slave", slave); events("master", master);
	t.c_cc[VMIN] = 4; t.c_cc[VTIME] = 0; tcsetattr(slave, TCSANOW, &t);
	TYPE("ab"); events("min 4", slave); show("two of four", slave, 9); TYPE("abcd"); events("min 4", slave); show("four", slave, 9);
	fcntl(slave, F_SETFL, 0);
	t.c_cc[VMIN] = 0; t.c_cc[VTIME] = 0; tcsetattr(slave, TCSANOW, &t); show("at once", slave, 9);
	t.c_cc[VTIME] = 1; tcsetattr(slave, TCSANOW, &t); show("a tenth", slave, 9); TYPE("t"); show("a tenth", slave, 9);
	t.c_cc[VMIN] = 5; t.c_cc[VTIME] = 1; tcsetattr(slave, TCSANOW, &t); TYPE("ab"); show("between", slave, 9); TYPE("abcdefg"); show("enough", slave, 3); show("enough", slave, 9);
	fcntl(slave, F_SETFL, O_NONBLOCK);
	// What was typed raw, as a line, and back.
	TYPE("typed raw"); settle(); tcsetattr(slave, TCSANOW, &initial); show("as a line", slave, 99);
	TYPE("half a line"); settle(); tcsetattr(slave, TCSANOW, &t); show("raw again", slave, 99); show("echo", master, 99);
	tcsetattr(slave, TCSAFLUSH, &initial);
}

static void packets(void) {
	int on = 1;
	SHOW(ioctl(master, TIOCPKT, &on));
	write(slave, "data\n", 5); show("packet", master, 100); TYPE("e\n"); show("echo", master, 2); show("echo", master, 100); show("read", slave, 100);
	tcflush(slave, TCIFLUSH); events("status", master); show("status", master, 100);
	tcflush(slave, TCOFLUSH); show("status", master, 100);
	TYPE("\023"); show("stop", master, 100); TYPE("\021"); show("start", master, 100);
	struct termios t = initial; t.c_iflag &= ~IXON; tcsetattr(slave, TCSANOW, &t); show("no stop", master, 100); tcsetattr(slave, TCSANOW, &initial); show("do stop", master, 100);
	TYPE("\003"); show("interrupt", master, 100); show("rest", master, 100);
	on = 0; SHOW(ioctl(master, TIOCPKT, &on));
}

static volatile int caught[65];
static void note(int signal) { caught[signal]++; }
static int hasCaught(void) {
	for (int i = 1; i < 65; i++) if (caught[i]) return 1;
	return 0;
}
static void showCaught(const char *what) {
	// On a busy machine a signal takes its time; a sleep that it ends is short.
	for (int i = 0; i < 20 && !hasCaught(); i++) usleep(20000);
	settle();
	printf("%s:", what);
	for (int i = 1; i < 65; i++) if (caught[i]) printf(" %s", sigabbrev_np(i));
	printf("\n");
	fflush(stdout);
	memset((void *)caught, 0, sizeof caught);
}

static void catchAll(int flags) {
	int all[] = {SIGHUP, SIGINT, SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU, SIGCONT, SIGWINCH};
	for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
		struct sigaction a = {.sa_handler = note, .sa_flags = flags};
		sigaction(all[i], &a, NULL);
	}
}

// In a session of its own: what it does to a controlling terminal.
static void session(void) {
	int value = 0, null = open("/dev/null", O_RDWR);
	struct winsize size = {5, 6, 0, 0};
	SHOW(setsid() == getpid());
	SHOW(open("/dev/tty", O_RDWR));
	SHOW(ioctl(slave, TIOCGSID, &value)); SHOW(ioctl(slave, TIOCGPGRP, &value)); SHOW(ioctl(master, TIOCGSID, &value));
	SHOW(ioctl(slave, TIOCSCTTY, 0)); SHOW(ioctl(slave, TIOCSCTTY, 0)); SHOW(ioctl(null, TIOCSCTTY, 0));
	SHOW(ioctl(slave, TIOCGSID, &value)); printf("%d\n", value == getpid()); SHOW(ioctl(slave, TIOCGPGRP, &value)); printf("%d\n", value == getpid());
	value = 0; SHOW(ioctl(master, TIOCGPGRP, &value)); printf("%d\n", value == getpid());
	int tty = open("/dev/tty", O_RDWR | O_NONBLOCK);
	SHOW(tty >= 0); SHOW(isatty(tty));
	value = -1; SHOW(ioctl(tty, TIOCSPGRP, &value)); value = 999999; SHOW(ioctl(tty, TIOCSPGRP, &value)); SHOW(ioctl(tty, TIOCSPGRP, BAD)); value = 1; SHOW(ioctl(tty, TIOCSPGRP, &value));
	catchAll(SA_RESTART);
	TYPE("abc\003"); showCaught("interrupt"); show("echo", master, 99); show("read", slave, 99); TYPE("\034"); showCaught("quit"); show("echo", master, 99); TYPE("\032"); showCaught("stop"); show("echo", master, 99); SHOW(ioctl(master, TIOCSIG, SIGINT)); showCaught("TIOCSIG");
	SHOW(ioctl(master, TIOCSWINSZ, &size)); showCaught("resize"); SHOW(ioctl(slave, TIOCSWINSZ, &size)); showCaught("the same size");
	struct termios t = initial; t.c_lflag |= NOFLSH; tcsetattr(slave, TCSANOW, &t); TYPE("kept\003\n"); showCaught("without flush"); show("echo", master, 99); show("read", slave, 99);
	t.c_lflag &= ~(NOFLSH | ISIG); tcsetattr(slave, TCSANOW, &t); TYPE("\003\n"); showCaught("without ISIG"); show("read", slave, 99); tcsetattr(slave, TCSANOW, &initial); show("echo", master, 99);
	// A child in the background.
	fcntl(slave, F_SETFL, 0);
	for (int kind = 0; kind < 7; kind++) {
		fflush(stdout);
		pid_t child = fork();
		if (child == 0) {
			setpgid(0, 0);
			char byte;
			struct sigaction a = {.sa_handler = note};
			if (kind == 1) signal(SIGTTIN, SIG_IGN); else if (kind == 0) signal(SIGTTIN, SIG_DFL); else sigaction(SIGTTIN, &a, NULL);
			if (kind == 4 || kind == 6) signal(SIGTTOU, SIG_DFL); else if (kind == 5) signal(SIGTTOU, SIG_IGN); else sigaction(SIGTTOU, &a, NULL);
			if (kind == 4 || kind == 5) { signal(SIGTTOU, SIG_IGN); t = initial; t.c_lflag |= TOSTOP; tcsetattr(slave, TCSANOW, &t); signal(SIGTTOU, kind == 4 ? SIG_DFL : SIG_IGN); }
			errno = 0;
			long r = kind < 3 ? read(slave, &byte, 1) : kind == 3 ? tcsetattr(slave, TCSANOW, &initial) : kind == 6 ? ioctl(slave, TIOCSPGRP, (pid_t[]){getpid()}) : write(slave, "w", 1);
			printf("background %d: %ld %s TTIN %d TTOU %d\n", kind, r, r < 0 ? strerrorname_np(errno) : "", caught[SIGTTIN], caught[SIGTTOU]);
			fflush(stdout);
			_exit(0);
		}
		int status;
		waitpid(child, &status, WUNTRACED);
		printf("child %d: %s %s\n", kind, WIFSTOPPED(status) ? "stopped" : "ended", WIFSTOPPED(status) ? sigabbrev_np(WSTOPSIG(status)) : "");
		if (WIFSTOPPED(status)) {
			// Into the foreground, where it goes on.
			value = child; SHOW(ioctl(slave, TIOCSPGRP, &value)); if (kind == 0) TYPE("x\n");
			kill(-child, SIGCONT); waitpid(child, &status, 0);
			signal(SIGTTOU, SIG_IGN); value = getpid(); SHOW(ioctl(slave, TIOCSPGRP, &value)); catchAll(SA_RESTART);
		}
		tcsetattr(slave, TCSAFLUSH, &initial);
		memset((void *)caught, 0, sizeof caught);
	}
	fcntl(slave, F_SETFL, O_NONBLOCK);
	show("out", master, 99);
	SHOW(ioctl(tty, TIOCNOTTY, 0)); showCaught("given up"); SHOW(open("/dev/tty", O_RDWR)); SHOW(ioctl(slave, TIOCGSID, &value)); SHOW(ioctl(slave, TIOCNOTTY, 0));
	// By opening it.
	char name[64]; snprintf(name, sizeof name, "%s", ptsname(master));
	int again = open(name, O_RDWR | O_NOCTTY | O_NONBLOCK); SHOW(ioctl(again, TIOCGSID, &value)); close(again);
	again = open(name, O_WRONLY | O_NONBLOCK); SHOW(ioctl(again, TIOCGSID, &value)); close(again);
	again = open(name, O_RDWR | O_NONBLOCK); SHOW(ioctl(again, TIOCGSID, &value)); printf("%d\n", value == getpid());
	showCaught("nothing");
	// The master goes.
	events("slave", slave); close(master); showCaught("hung up"); events("slave", slave);
	show("read", slave, 9); SHOW(write(slave, "x", 1)); SHOW(isatty(slave)); SHOW(ioctl(slave, TIOCGWINSZ, &size)); SHOW(ioctl(slave, TIOCSPGRP, &value)); SHOW(open(name, O_RDWR)); SHOW(open("/dev/tty", O_RDWR));
	SHOW(fcntl(slave, F_GETFL));
}

static void openPair(void) {
	master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
	grantpt(master); unlockpt(master);
	slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_NONBLOCK);
}

int main(void) {
	struct stat s;
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGALRM, SIG_DFL);
	alarm(40);
	master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
	SHOW(master >= 0);
	char name[64]; snprintf(name, sizeof name, "%s", ptsname(master));
	SHOW(open(name, O_RDWR | O_NOCTTY)); events("master", master); show("master", master, 10);
	SHOW(unlockpt(master)); SHOW(grantpt(master));
	SHOW(write(master, "early\n", 6));
	slave = open(name, O_RDWR | O_NOCTTY | O_NONBLOCK); SHOW(slave >= 0);
	SHOW(stat(name, &s)); printf("%o %d:%d nlink %d gid %d size %ld blksize %ld\n", s.st_mode, major(s.st_rdev), minor(s.st_rdev) == atoi(name + 9), (int)s.st_nlink, s.st_gid, s.st_size, (long)s.st_blksize);
	SHOW(fstat(master, &s)); printf("%o %d:%d nlink %d\n", s.st_mode, major(s.st_rdev), minor(s.st_rdev), (int)s.st_nlink);
	SHOW(stat("/dev/pts", &s)); printf("%o %ld\n", s.st_mode, (long)s.st_ino); SHOW(stat("/dev/pts/ptmx", &s)); printf("%o %ld\n", s.st_mode, (long)s.st_ino);
	SHOW(mkdir("/dev/pts/x", 0700)); SHOW(open("/dev/pts/x", O_RDWR | O_CREAT, 0600)); SHOW(unlink(name)); SHOW(rename(name, "/dev/pts/z")); SHOW(chmod(name, 0600)); SHOW(stat(name, &s)); printf("%o\n", s.st_mode); SHOW(open("/dev/pts/00", O_RDWR)); SHOW(open("/dev/pts/77", O_RDWR));
	int peer = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC); SHOW(peer >= 0); SHOW(fcntl(peer, F_GETFD)); SHOW(strcmp(ttyname(peer), name)); close(peer); SHOW(ioctl(slave, TIOCGPTPEER, O_RDWR));
	show("early", slave, 10); show("echo", master, 10);
	tcgetattr(slave, &initial);
	settings(); requests("slave", slave); requests("master", master);
	tcsetattr(slave, TCSANOW, &initial);
	lines(); output(); raw(); packets();
	// All programs close the slave, and one opens it again.
	SHOW(write(slave, "last", 4)); close(slave); show("last", master, 9); show("closed", master, 9); events("closed", master); SHOW(write(master, "for nobody\n", 11));
	slave = open(name, O_RDWR | O_NOCTTY | O_NONBLOCK); show("open again", master, 99); events("open again", master); show("slave", slave, 99);
	close(slave); close(master);
	openPair(); tcgetattr(slave, &initial);
	fflush(stdout);
	if (fork() == 0) { alarm(30); session(); _exit(0); }
	wait(NULL); close(slave); close(master);
	// A session's end hangs its terminal up.
	openPair(); fflush(stdout);
	if (fork() == 0) { setsid(); ioctl(slave, TIOCSCTTY, 0); _exit(0); }
	wait(NULL); settle(); events("after the leader", slave); show("read", slave, 9); show("master", master, 9);
	slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_NONBLOCK); SHOW(ioctl(slave, TIOCGSID, &s)); events("new", slave);
	// As much as fits.
	static char many[200000]; memset(many, 'm', sizeof many);
	struct termios t; tcgetattr(slave, &t); cfmakeraw(&t); tcsetattr(slave, TCSANOW, &t);
	long written = write(master, many, sizeof many); printf("fits %d\n", written > 4096 && written < 200000); SHOW(write(master, many, 1)); show("some", slave, 4000); events("slave", slave);
	return 0;
}
