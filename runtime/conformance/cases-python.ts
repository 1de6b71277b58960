// Python's standard library over processes, threads, files and signals.

import type { ConformanceCase } from './cases.js';

const scripts: Readonly<Record<string, string>> = {
	subprocess: `import subprocess as s
print(s.run(['seq', '3'], capture_output=True), s.run('exit 4', shell=True).returncode, s.run(['cat'], input=b'x' * 200000, capture_output=True).stdout == b'x' * 200000)
p = s.Popen(['sleep', '50']); p.terminate(); print(p.wait())
try: s.run(['sleep', '5'], timeout=0.1)
except s.TimeoutExpired as e: print(e.cmd)
try: s.run(['/nothing'])
except OSError as e: print(e)`,
	threading: `import threading, queue
q = queue.Queue(); n = [0]; lock = threading.Lock()
def work():
    for _ in range(200):
        with lock: n[0] += 1
    with open('/etc/passwd') as f: q.put(len(f.read()) > 0)
ts = [threading.Thread(target=work) for _ in range(30)]
[t.start() for t in ts]; [t.join() for t in ts]; print(n, all(q.get() for _ in range(30)))`,
	asyncio: `import asyncio
async def main():
    p = await asyncio.create_subprocess_exec('sh', '-c', 'cat; exit 3', stdin=-1, stdout=-1)
    print(await p.communicate(b'hello'), p.returncode)
    print(await asyncio.gather(*(asyncio.sleep(0.01 * (5 - i), i) for i in range(5))))
    print(await asyncio.to_thread(lambda: open('/etc/hostname').close()))
    try: await asyncio.wait_for(asyncio.sleep(5), 0.05)
    except asyncio.TimeoutError: print('timeout')
asyncio.run(main())`,
	shared: `from multiprocessing import shared_memory, Process, Queue, Semaphore
def work(name, q, sem):
    s = shared_memory.SharedMemory(name=name); s.buf[5:10] = b'child'; s.close(); sem.release(); q.put('done')
if __name__ == '__main__':
    s = shared_memory.SharedMemory(create=True, size=100); q = Queue(); sem = Semaphore(0)
    s.buf[:5] = b'hello'; p = Process(target=work, args=(s.name, q, sem)); p.start()
    print(sem.acquire(timeout=10), q.get(), bytes(s.buf[:10])); p.join(); print(p.exitcode); s.close(); s.unlink()`,
	descriptors: `import os, signal, select, mmap, fcntl
pid = os.fork()
if pid == 0: signal.pause()
fd = os.pidfd_open(pid); print(select.select([fd], [], [], 0)[0]); signal.pidfd_send_signal(fd, signal.SIGTERM)
print(len(select.select([fd], [], [], 10)[0]), os.waitid(os.P_PIDFD, fd, os.WEXITED).si_status)
m = os.memfd_create('x', os.MFD_ALLOW_SEALING); os.write(m, b'a' * 5000); fcntl.fcntl(m, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
print(fcntl.fcntl(m, fcntl.F_GET_SEALS), mmap.mmap(m, 5000, access=mmap.ACCESS_READ)[4999:], os.fstat(m).st_size)
try: os.write(m, b'b')
except OSError as e: print(e)
print(os.path.basename(os.readlink(f'/proc/self/fd/{m}')))`,
	tempfile: `import tempfile, os, stat
with tempfile.NamedTemporaryFile() as f: f.write(b'abc'); f.flush(); print(os.path.getsize(f.name), oct(os.stat(f.name).st_mode)); n = f.name
print(os.path.exists(n))
with tempfile.TemporaryDirectory() as d: open(d + '/x', 'w').write('x'); print(os.listdir(d))
with tempfile.TemporaryFile() as f: f.write(b'12345'); f.seek(2); print(f.read(), os.fstat(f.fileno()).st_nlink)
with tempfile.SpooledTemporaryFile(10) as f: f.write(b'x' * 50); f.seek(0); print(len(f.read()))`,
	mmap: `import mmap, os
f = open('m', 'w+b'); f.write(b'0' * 8192); f.flush(); m = mmap.mmap(f.fileno(), 0); m[5:8] = b'abc'; m.flush()
f.seek(4); print(f.read(5)); os.pwrite(f.fileno(), b'ZZ', 4100); print(m[4098:4104])
a = mmap.mmap(-1, 4096)
if os.fork() == 0: a[0:5] = b'child'; m[0:2] = b'CC'; os._exit(0)
os.wait(); print(a[0:5], m[0:3], m.find(b'ZZ')); c = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_COPY); c[0:1] = b'x'; print(m[0:1]); m.resize(16384); print(os.path.getsize('m'))`,
	multiprocessing: `import multiprocessing as m
def f(x): return x * x
if __name__ == '__main__':
    m.set_start_method('fork')
    q = m.Queue(); p = m.Process(target=q.put, args=([1, 'two'],)); p.start(); print(q.get()); p.join(); print(p.exitcode)
    a, b = m.Pipe(); p = m.Process(target=b.send, args=('x' * 100000,)); p.start(); print(len(a.recv())); p.join()
    with m.Pool(3) as pool: print(pool.map(f, range(20)))
    v = m.Value('i', 0)
    def g():
        for _ in range(100):
            with v.get_lock(): v.value += 1
    ps = [m.Process(target=g) for _ in range(4)]; [p.start() for p in ps]; [p.join() for p in ps]; print(v.value)`,
	walk: `import os, shutil
os.makedirs('a/b/c'); open('a/x', 'w').write('1'); os.symlink('../x', 'a/b/l'); os.link('a/x', 'a/h')
for d, ds, fs in os.walk('a'): print(d, sorted(ds), sorted(fs))
print(sorted((e.name, e.is_dir(), e.is_symlink()) for e in os.scandir('a/b'))); shutil.copytree('a', 'z', symlinks=True); shutil.move('z', 'y'); shutil.rmtree('a'); print(sorted(os.listdir('.')), os.readlink('y/b/l'), os.stat('y/h').st_nlink)
for f in (lambda: os.rmdir('y'), lambda: os.open('y/none', 0), lambda: os.rename('y', 'y/b/q'), lambda: os.listdir('y/x')):
    try: f()
    except OSError as e: print(e)`,
	signal: `import signal, os, time
signal.signal(signal.SIGUSR1, lambda s, f: print('usr1')); os.kill(os.getpid(), signal.SIGUSR1)
signal.signal(signal.SIGALRM, lambda s, f: print('alarm')); signal.setitimer(signal.ITIMER_REAL, 0.05); signal.pause(); print(signal.getitimer(signal.ITIMER_REAL))
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2]); os.kill(os.getpid(), signal.SIGUSR2); print(signal.sigpending(), signal.sigwait([signal.SIGUSR2]))
p = os.fork()
if p == 0: signal.pause()
os.kill(p, 9); print(os.waitstatus_to_exitcode(os.waitpid(p, 0)[1]))`,
	select: `import select, os, socket
r, w = os.pipe(); print(select.select([r], [w], [], 0)[0], select.select([r], [], [], 0.02)[0]); os.write(w, b'x'); print(len(select.select([r], [], [], 1)[0]))
p = select.poll(); p.register(r, select.POLLIN); print([e for _, e in p.poll(10)]); os.close(w); os.read(r, 9); print([e for _, e in p.poll(10)])
a, b = socket.socketpair(); e = select.epoll(); e.register(a, select.EPOLLIN | select.EPOLLET); b.send(b'hi'); print([v for _, v in e.poll(1)], e.poll(0)); print(a.recv(9)); b.close(); print([v for _, v in e.poll(1)])`,
	locks: `import fcntl, os, time
f = open('l', 'w'); fcntl.lockf(f, fcntl.LOCK_EX)
r, w = os.pipe()
if os.fork() == 0:
    g = open('l', 'w')
    try: fcntl.lockf(g, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as e: print('child', e, flush=True)
    os.write(w, b'x'); fcntl.lockf(g, fcntl.LOCK_EX); print('child has it', flush=True); os._exit(0)
os.read(r, 1); fcntl.lockf(f, fcntl.LOCK_UN); os.wait()
a = open('k', 'w'); b = open('k', 'w'); fcntl.flock(a, fcntl.LOCK_EX)
try: fcntl.flock(b, fcntl.LOCK_SH | fcntl.LOCK_NB)
except OSError as e: print(e)
a.close(); fcntl.flock(b, fcntl.LOCK_SH); print('shared')`,
	socketpair: `import socket, os, array
a, b = socket.socketpair(); a.sendall(b'abc'); print(b.recv(2), b.recv(9)); a.shutdown(socket.SHUT_WR); print(b.recv(1))
a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM); a.send(b'one'); a.send(b'two'); print(b.recv(2), b.recv(9))
a, b = socket.socketpair(); r, w = os.pipe(); socket.send_fds(a, [b'fd'], [w]); m, fds, _, _ = socket.recv_fds(b, 9, 4); os.write(fds[0], b'passed'); print(m, os.read(r, 9))
a.setblocking(False)
try: a.recv(1)
except OSError as e: print(e)`,
	// glibc signals every thread, and each has to find the process's own id in what it gets.
	setgroups: `import os, threading, time
r, w = os.pipe(); os.close(0)
threads = [threading.Thread(target=os.read, args=(r, 1)), threading.Thread(target=time.sleep, args=(1,))]
for t in threads: t.start()
time.sleep(.1)
for i in range(3): os.setgroups([i]); print(os.getgroups(), *(open(f'/proc/self/task/{t.native_id}/status').read().split('Groups:')[1].split()[0] for t in threads))
os.write(w, b'x'); [t.join() for t in threads]`,
};

export const pythonCases: readonly ConformanceCase[] = Object.entries(scripts).map(([name, script]) => ({
	name,
	script: `cat >p.py <<'EOF'\n${script}\nEOF\npython3 p.py 2>&1; echo $?`,
}));
