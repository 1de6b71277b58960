// Lengths, counts and offsets that no caller should give, to every call that takes one: prints "NAME VALUE RESULT" or its errno for each.
// What a kernel answers here is Linux's own, so the output is the same on the host.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static const uint64_t lengths[] = {0, 1, 4096, 1025, 65537, INT_MAX, 0x80000000, UINT_MAX, 1UL << 32, 1UL << 47, 1UL << 63, SSIZE_MAX, SIZE_MAX - 4095,
	SIZE_MAX};
static char *page; // One page, and none beside it.
static uint64_t length;

static void show(const char *name, long result)
{
	// An address differs from run to run, and so does what depends on the machine.
	if (result == -1) printf("%s %lx %s\n", name, length, strerrorname_np(errno));
	else if (result > 0x10000000) printf("%s %lx an address\n", name, length);
	else printf("%s %lx %ld\n", name, length, result);
	memset(page, 0, 4096);
}
#define TRY(name, ...) show(name, syscall(__VA_ARGS__))

// In a child, as some of these take the memory away that the program needs.
static void in_child(const char *name, long number, unsigned long first, unsigned long third, unsigned long fourth)
{
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		long result = syscall(number, first, length, third, fourth, -1, 0);
		_exit(result == -1 ? errno : 0);
	}
	int status;
	waitpid(child, &status, 0);
	if (WIFEXITED(status)) printf("%s %lx exit %d\n", name, length, WEXITSTATUS(status));
	else printf("%s %lx signal %d\n", name, length, WTERMSIG(status));
}

int main(void)
{
	char *area = mmap(0, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int ends[2], pair[2], epoll = epoll_create1(0), file = open("/tmp/file", O_CREAT | O_RDWR | O_TRUNC, 0644), folder = open("/tmp", O_RDONLY);
	page = area + 4096;
	mprotect(area, 4096, PROT_NONE);
	mprotect(area + 2 * 4096, 4096, PROT_NONE);
	setrlimit(RLIMIT_NOFILE, &(struct rlimit){1024, 1024});
	if (pipe2(ends, O_NONBLOCK) != 0 || socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair) != 0) return 2;
	symlink("target", "/tmp/link");
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		length = lengths[i];
		// How large a file may be is the file system's to say.
		uint64_t offset = length == 1UL << 47 || length == SSIZE_MAX ? 1UL << 40 : length;
		if (pwrite(file, "0123456789", 10, 0) != 10 || ftruncate(file, 10) != 0) return 2;
		lseek(file, 0, SEEK_SET);
		TRY("read", SYS_read, file, page, length);
		lseek(file, 0, SEEK_SET);
		if (length <= 4096) TRY("write", SYS_write, file, page, length);
		TRY("read pipe", SYS_read, ends[0], page, length);
		while (read(ends[0], page, 4096) > 0) ;
		TRY("pread64", SYS_pread64, file, page, length, 0);
		TRY("pread64 at", SYS_pread64, file, page, 1, offset);
		TRY("pwrite64 at", SYS_pwrite64, file, page, 0, offset);
		TRY("lseek", SYS_lseek, file, offset, SEEK_SET);
		TRY("lseek end", SYS_lseek, file, offset, SEEK_END);
		lseek(file, 0, SEEK_SET);
		struct iovec vector[2] = {{page, length}, {page, 10}}, *many = (struct iovec *)page;
		TRY("readv one", SYS_readv, file, vector, 1);
		lseek(file, 0, SEEK_SET);
		TRY("readv two", SYS_readv, file, vector, 2);
		TRY("readv count", SYS_readv, file, many, length);
		TRY("writev count", SYS_writev, ends[1], many, length);
		TRY("preadv count", SYS_preadv, file, many, length, 0, 0);
		TRY("preadv at", SYS_preadv, file, many, 1, length, 0);
		TRY("pwritev count", SYS_pwritev, file, many, length, 0, 0);
		TRY("preadv2 count", SYS_preadv2, file, many, length, 0, 0, 0);
		TRY("getdents64", SYS_getdents64, folder, page, length == 4096 ? 1 : length > 23 ? 0 : length);
		memset(page, -1, 4096 - 16);
		TRY("poll", SYS_poll, page, length, 0);
		memset(page, -1, 4096 - 16);
		TRY("ppoll", SYS_ppoll, page, length, page + 4096 - 16, 0, 8);
		TRY("ppoll mask", SYS_ppoll, 0, 0, page, page, length);
		TRY("select", SYS_select, length, 0, 0, 0, page);
		TRY("pselect6", SYS_pselect6, length, 0, 0, 0, page, 0);
		TRY("epoll_wait", SYS_epoll_wait, epoll, page, length, 0);
		TRY("epoll_pwait mask", SYS_epoll_pwait, epoll, page, 1, 0, page, length);
		struct msghdr message = {.msg_iov = many, .msg_iovlen = length}, control = {.msg_control = page, .msg_controllen = length},
			named = {.msg_name = page, .msg_namelen = (socklen_t)length};
		TRY("sendmsg count", SYS_sendmsg, pair[0], &message, 0);
		recv(pair[1], page, 1, 0);
		TRY("recvmsg count", SYS_recvmsg, pair[1], &message, 0);
		TRY("sendmsg control", SYS_sendmsg, pair[0], &control, 0);
		recv(pair[1], page, 1, 0);
		TRY("sendmsg name", SYS_sendmsg, pair[0], &named, 0);
		recv(pair[1], page, 1, 0);
		TRY("recvmsg control", SYS_recvmsg, pair[1], &control, 0);
		TRY("recvfrom", SYS_recvfrom, pair[1], page, length, 0, 0, 0);
		TRY("getsockopt", SYS_getsockopt, pair[0], SOL_SOCKET, SO_TYPE, page, memcpy(page + 64, &length, 4));
		TRY("setsockopt", SYS_setsockopt, pair[0], SOL_SOCKET, SO_RCVBUF, page, length);
		TRY("getgroups", SYS_getgroups, length, 0);
		TRY("sched_getaffinity", SYS_sched_getaffinity, 0, length & 0xffffffff ? length | 1 : 1, page);
		TRY("sched_setaffinity", SYS_sched_setaffinity, 0, length, page);
		TRY("listxattr", SYS_listxattr, "/tmp/file", page, length);
		TRY("getxattr", SYS_getxattr, "/tmp/file", "user.none", page, length);
		TRY("setxattr", SYS_setxattr, "/tmp/file", "user.", page, length);
		TRY("readlink", SYS_readlink, "/tmp/link", page, length);
		TRY("getcwd", SYS_getcwd, page, length);
		TRY("getrandom", SYS_getrandom, page, length > 4096 ? 0 : length, 0x80);
		TRY("truncate", SYS_truncate, "/tmp/file", offset);
		TRY("fallocate", SYS_fallocate, file, 3, 0, offset);
		TRY("fadvise64", SYS_fadvise64, file, 0, length, 0);
		TRY("sync_file_range", SYS_sync_file_range, file, 0, offset, 0);
		lseek(file, 0, SEEK_SET);
		TRY("sendfile", SYS_sendfile, ends[1], file, 0, length);
		TRY("copy_file_range", SYS_copy_file_range, file, 0, file, 0, length, 0);
		while (read(ends[0], page, 4096) > 0) ;
		TRY("splice", SYS_splice, ends[0], 0, file, 0, offset, 2);
		TRY("rt_sigprocmask", SYS_rt_sigprocmask, SIG_BLOCK, 0, page, length);
		TRY("signalfd4", SYS_signalfd4, -1, page, length, 0);
		TRY("close_range", SYS_close_range, UINT_MAX, length, 0);
		TRY("dup2", SYS_dup2, 0, (unsigned)length < 20000 ? -1 : length);
		TRY("fcntl F_DUPFD", SYS_fcntl, 0, F_DUPFD, (unsigned)length < 20000 ? 1 << 30 : length);
		TRY("mmap file", SYS_mmap, 0, length, PROT_READ, MAP_PRIVATE, file, 0);
		TRY("mmap at", SYS_mmap, 0, 4096, PROT_READ, MAP_PRIVATE, file, length);
		TRY("mremap", SYS_mremap, page, 4096, length, 0);
		TRY("msync", SYS_msync, page, length, MS_ASYNC);
		TRY("madvise none", SYS_madvise, page, length, 0);
		in_child("munmap", SYS_munmap, (unsigned long)page, 0, 0);
		in_child("mprotect", SYS_mprotect, (unsigned long)page, PROT_READ, 0);
		in_child("madvise", SYS_madvise, (unsigned long)page, MADV_DONTNEED, 0);
		in_child("mmap", SYS_mmap, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
		in_child("setgroups", SYS_setgroups, length > 3 && length <= 65536 ? 65537 : length, 0, 0);
		fflush(stdout);
	}
	return 0;
}
