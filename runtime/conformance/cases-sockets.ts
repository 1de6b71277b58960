// Sockets: unix ones by every kind of name, internet ones over the loopback of a network namespace of their own, netlink.

import type { ConformanceCase } from './cases.js';

const unix = String.raw`import socket,os,errno,struct,array,select,threading,time
S=socket
def e(f,*a):
    try: return f(*a)
    except OSError as x: return errno.errorcode[x.errno]
for t,n in ((S.SOCK_STREAM,'stream'),(S.SOCK_SEQPACKET,'seq'),(S.SOCK_DGRAM,'dgram')):
    print('==',n)
    p='sock-'+n
    a=S.socket(S.AF_UNIX,t)
    print('listen unbound',e(a.listen,1))
    print('accept',e(lambda:a.accept()))
    print('connect none',e(a.connect,'nothere'))
    open('plain','w').close()
    print('connect plain',e(a.connect,'plain'))
    print('connect dir',e(a.connect,'/'))
    print('bind',e(a.bind,p), oct(os.stat(p).st_mode))
    print('bind2',e(a.bind,p+'x'))
    b=S.socket(S.AF_UNIX,t)
    print('bind used',e(b.bind,p), e(b.bind,'plain'), e(b.bind,'no/such'))
    if t!=S.SOCK_DGRAM: print('connect not listening',e(b.connect,p))
    print('name',a.getsockname(), e(a.getpeername))
    print('wrongtype',e(S.socket(S.AF_UNIX, S.SOCK_STREAM if t==S.SOCK_DGRAM else S.SOCK_DGRAM).connect,p))
    if t!=S.SOCK_DGRAM:
        print('listen',e(a.listen,1), a.getsockopt(S.SOL_SOCKET,S.SO_ACCEPTCONN))
        b.setblocking(False); c=S.socket(S.AF_UNIX,t); d=S.socket(S.AF_UNIX,t); d.setblocking(False)
        print(e(b.connect,p),e(c.connect,p),e(d.connect,p))
        po=select.poll(); po.register(a); print(po.poll(0)[0][1])
        print('again',e(b.connect,p))
        b.send(b'early')
        x,ad=a.accept(); print(ad,x.getsockname(),b.getpeername(),x.getpeername()=='' )
        print(x.recv(10))
        print('cred',struct.unpack('3i',x.getsockopt(S.SOL_SOCKET,S.SO_PEERCRED,12))[0]==os.getpid())
        print('credb',struct.unpack('3i',b.getsockopt(S.SOL_SOCKET,S.SO_PEERCRED,12))[1:])
        x.close(); print('after close',e(b.recv,10),e(b.send,b'x'))
        y,_=a.accept();
        a.setblocking(False); print('empty',e(lambda:a.accept()))
        print('connect3',e(d.connect,p))
        a.close();
        print('embryo',e(d.recv,1), d.getsockopt(S.SOL_SOCKET,S.SO_ERROR))
        z=S.socket(S.AF_UNIX,t); print('stale',e(z.connect,p))
        y.send(b'hello'); y.shutdown(S.SHUT_WR); print(c.recv(100)); print(c.recv(100)); c.send(b'back'); print(y.recv(9))
        print('recvfrom',c.close(), e(y.send,b'1'))
        print('sendto connected', e(z.sendto,b'x',p))
        # creds
        l=S.socket(S.AF_UNIX,t); l.bind(b'\0abs-'+n.encode()); l.listen(5); print(l.getsockname())
        l2=S.socket(S.AF_UNIX,t); print(e(l2.bind,b'\0abs-'+n.encode()))
        q=S.socket(S.AF_UNIX,t); q.connect(b'\0abs-'+n.encode()); r,_=l.accept()
        r.setsockopt(S.SOL_SOCKET,S.SO_PASSCRED,1)
        q.send(b'one'); q.send(b'two')
        m=r.recvmsg(100,200); print(m[0],[(i[0],i[1],struct.unpack('3i',i[2])[1:]) for i in m[1]],m[2],m[3])
        R,W=os.pipe()
        q.sendmsg([b'fds'],[(S.SOL_SOCKET,S.SCM_RIGHTS,array.array('i',[R,W]))]);
        q.sendmsg([b'cred'],[(S.SOL_SOCKET,S.SCM_CREDENTIALS,struct.pack('3i',os.getpid(),0,0))]);
        for i in range(2 if t==S.SOCK_STREAM else 3):
            m=r.recvmsg(100,S.CMSG_SPACE(12)+S.CMSG_SPACE(8)); print(m[0],[(i[0],i[1],len(i[2])) for i in m[1]],m[2])
        print('badcred',e(q.sendmsg,[b'x'],[(S.SOL_SOCKET,S.SCM_CREDENTIALS,struct.pack('3i',1<<20,0,0))]))
        q.send(b'three'); m=r.recvmsg(100); print(m[0],m[1],m[2])
        print('connect self-listening', e(l.connect,b'\0abs-'+n.encode()))
        l.close(); print('abs gone',e(z.connect,b'\0abs-'+n.encode()))
    else:
        b=S.socket(S.AF_UNIX,t)
        print(b.sendto(b'one',p)); print(a.recvfrom(10))
        b.bind(''); print(len(b.getsockname()), b.getsockname()[0])
        b.connect(p); print(b.send(b'two')); r=a.recvfrom(10); print(r[0],len(r[1]))
        a.sendto(b'reply',r[1]); print(b.recvfrom(10))
        o=S.socket(S.AF_UNIX,t); o.bind('other'); print('eperm',e(o.sendto,b'x',r[1]), e(o.connect,r[1]))
        print('isconn sendto', e(b.sendto,b'elsewhere','other'), o.recvfrom(20)[0])
        print('trunc', b.send(b'0123456789'), a.recvmsg(4)[2:3], e(lambda:a.recv(4,S.MSG_DONTWAIT)))
        print('peek', b.send(b'abc'), a.recv(9,S.MSG_PEEK), a.recv(9), b.send(b''), a.recv(5))
        b.setblocking(False); n=0
        try:
            while True: b.send(b'x'); n+=1
        except OSError as x: print('full',errno.errorcode[x.errno], n>5)
        po=select.poll(); po.register(b,select.POLLOUT); print([v for _,v in po.poll(0)])
        while True:
            try: a.recv(5,S.MSG_DONTWAIT)
            except OSError: break
        print([v for _,v in po.poll(0)])
        a.close(); print('refused',e(b.send,b'x'),e(b.send,b'x'), e(b.sendto,b'x',p))
    print(e(lambda:S.socket(S.AF_UNIX,t).setsockopt(S.SOL_SOCKET,S.SO_PASSCRED,1)))
# blocking accept and connect
l=S.socket(S.AF_UNIX); l.bind('blk'); l.listen(0)
res=[]
def cl(i):
    s=S.socket(S.AF_UNIX); s.connect('blk'); s.send(b'%d'%i); res.append(s.recv(5)); s.close()
ts=[threading.Thread(target=cl,args=(i,)) for i in range(6)]
[x.start() for x in ts]; time.sleep(.2)
got=[]
for i in range(6):
    c,_=l.accept(); d=c.recv(5); got.append(d); c.send(d); c.close()
[x.join() for x in ts]; print(sorted(got),sorted(res))
l.settimeout(None); l.setsockopt(S.SOL_SOCKET,S.SO_RCVTIMEO,struct.pack('qq',0,50000)); print('timeo',e(lambda:l.accept()))
os.chmod('blk',0o600); pid=os.fork()
if pid==0:
    os.setgid(1000); os.setuid(1000); print('perm',e(S.socket(S.AF_UNIX).connect,'blk'),flush=True); os._exit(0)
os.waitpid(pid,0)
os.unlink('blk'); print('unlinked',e(S.socket(S.AF_UNIX).connect,'blk'))
print(e(S.socket(S.AF_UNIX).bind,'x'*107), len(S.socket(S.AF_UNIX).getsockname()))
os.link('sock-dgram','lnk'); s=S.socket(S.AF_UNIX,S.SOCK_DGRAM); print('link stale',e(s.connect,'lnk'))
t=S.socket(S.AF_UNIX,S.SOCK_DGRAM); t.bind('ren'); os.rename('ren','ren2'); print('renamed',e(s.connect,'ren2'),s.getpeername()); os.symlink('ren2','sym'); print(e(s.connect,'sym'))`;

const internet = String.raw`import socket as S,os,errno,struct,select,threading,time,sys
def e(f,*a):
    try: return f(*a)
    except OSError as x: return errno.errorcode[x.errno]
for fam,lo in ((S.AF_INET,'127.0.0.1'),(S.AF_INET6,'::1')):
    print('==',fam)
    l=S.socket(fam); l.setsockopt(S.SOL_SOCKET,S.SO_REUSEADDR,1)
    print(e(l.bind,(lo,8080)),e(l.listen,2),l.getsockname()[:2],e(l.getpeername),l.getsockopt(S.SOL_SOCKET,S.SO_ACCEPTCONN))
    x=S.socket(fam); print('inuse',e(x.bind,(lo,8080)), e(x.connect,(lo,1)))
    c=S.socket(fam); print(e(c.connect,(lo,8080)))
    a,ad=l.accept(); print(ad[0],a.getsockname()[:2],a.getpeername()[1]==c.getsockname()[1])
    a.sendall(b'hello'); print(c.recv(100,S.MSG_PEEK),c.recv(3),c.recv(3))
    print(e(c.recv,1,S.MSG_DONTWAIT))
    c.settimeout(.05)
    try: c.recv(1)
    except TimeoutError as z: print('timeout')
    c.settimeout(None); c.setsockopt(S.SOL_SOCKET,S.SO_RCVTIMEO,struct.pack('qq',0,30000)); print('rcvtimeo',e(c.recv,1)); c.setsockopt(S.SOL_SOCKET,S.SO_RCVTIMEO,struct.pack('qq',0,0))
    def big():
        b=b'x'*3000000; a.sendall(b); a.shutdown(S.SHUT_WR)
    t=threading.Thread(target=big); t.start(); n=0
    time.sleep(.1)
    d=c.recv(2000000,S.MSG_WAITALL); n=len(d); print('waitall',n)
    while True:
        d=c.recv(65536)
        if not d: break
        n+=len(d)
    t.join(); print(n)
    c.send(b'!',S.MSG_OOB); time.sleep(.05); print('oob',a.recv(5,S.MSG_OOB), e(a.recv,5,S.MSG_OOB))
    po=select.poll(); po.register(a); print('poll',po.poll(0)[0][1]);
    print('opts',a.getsockopt(6,1),e(a.setsockopt,6,1,1),a.getsockopt(6,1),len(a.getsockopt(6,11,500))>100,a.getsockopt(S.SOL_SOCKET,S.SO_TYPE),a.getsockopt(S.SOL_SOCKET,S.SO_PROTOCOL),a.getsockopt(S.SOL_SOCKET,S.SO_DOMAIN),a.getsockopt(S.SOL_SOCKET,S.SO_LINGER,8), a.getsockopt(6,13,16))
    print('bad',e(a.getsockopt,6,9999),e(a.setsockopt,99,1,1),e(a.getsockopt,1,9999), e(a.setsockopt,S.SOL_SOCKET,S.SO_LINGER,struct.pack('ii',1,0)))
    a.close(); print('reset',e(c.recv,1),e(c.send,b'x'))
    c.close()
    # nonblocking connect
    n=S.socket(fam); n.setblocking(False); print(e(n.connect,(lo,8080))); print(select.select([],[n],[],2)[1]==[n],n.getsockopt(S.SOL_SOCKET,S.SO_ERROR),e(n.connect,(lo,8080)))
    n2=S.socket(fam); n2.setblocking(False); print(e(n2.connect,(lo,1))); print(select.select([],[n2],[],2)[1]==[n2],n2.getsockopt(S.SOL_SOCKET,S.SO_ERROR))
    l.close(); n.close()
    # epoll edge server
    l=S.socket(fam); l.bind((lo,0)); l.listen(50); l.setblocking(False); addr=l.getsockname()
    ep=select.epoll(); ep.register(l,select.EPOLLIN)
    out=[]
    def cli(i):
        s=S.create_connection(addr[:2]); s.sendall(b'c%d'%i); out.append(s.recv(10)); s.close()
    ts=[threading.Thread(target=cli,args=(i,)) for i in range(20)]; [t.start() for t in ts]
    conns={}; done=0
    while done<20:
        for fd,ev in ep.poll(5):
            if fd==l.fileno():
                while True:
                    try: k,_=l.accept()
                    except BlockingIOError: break
                    k.setblocking(False); conns[k.fileno()]=k; ep.register(k,select.EPOLLIN|select.EPOLLET|select.EPOLLRDHUP)
            else:
                k=conns[fd]
                try: d=k.recv(100)
                except BlockingIOError: continue
                if d: k.send(d)
                else: k.close(); done+=1
    [t.join() for t in ts]; print(sorted(out))
    # udp
    u=S.socket(fam,S.SOCK_DGRAM); u.bind((lo,9000)); v=S.socket(fam,S.SOCK_DGRAM); print(v.sendto(b'dg',(lo,9000))); m=u.recvfrom(10); print(m[0],m[1][1]==v.getsockname()[1]);
    v.connect((lo,9000)); u.sendto(b'back',v.getsockname()[:2]); print(v.recv(10)); print(e(v.send,b'y'*70000)); v.send(b'0123456789'); print(u.recvmsg(4)[2], e(u.recv,4,S.MSG_DONTWAIT))
    if fam==S.AF_INET: u.setsockopt(0,8,1)
    else: u.setsockopt(41,49,1)
    v.send(b'pk'); m=u.recvmsg(10,100); print(m[0],[(x[0],x[1],len(x[2])) for x in m[1]],m[2]); v.send(b'pk'); m=u.recvmsg(10); print(m[0],m[1],m[2])
    if fam==S.AF_INET: print(v.sendmsg([b'ttl'],[(0,2,struct.pack('i',5))]), u.recv(10), e(v.sendmsg,[b'ttl'],[(0,77,struct.pack('i',5))]), v.sendmsg([b'rights'],[(1,1,struct.pack('i',0))]), u.recv(10))
    u.close(); print('refused',e(v.send,b'x'),e(v.send,b'x'),e(v.recv,10,S.MSG_DONTWAIT))
    w=S.socket(fam,S.SOCK_DGRAM); print(e(w.send,b'x'), e(w.recv,1,S.MSG_DONTWAIT)); print(e(w.bind,('192.0.2.1' if fam==2 else '2001:db8::1',0)), e(w.connect,('192.0.2.1' if fam==2 else '2001:db8::1',5)))
    i=S.socket(fam,S.SOCK_DGRAM,1 if fam==2 else 58)
    pkt=struct.pack('!BBHHH',8 if fam==2 else 128,0,0xf7ff-0x0800+0x0800 if 0 else 0,1,1)
    i.sendto(pkt,(lo,0)); r=i.recv(100); print('ping',len(r),r[0])
    print('port80',e(S.socket(fam).bind,(lo,80)))
    print('raw-type',e(S.socket,fam,S.SOCK_SEQPACKET),e(S.socket,fam,S.SOCK_STREAM,17),e(S.socket,fam,S.SOCK_DGRAM,6), e(S.socket,fam,S.SOCK_STREAM,132))
print(e(S.socketpair,S.AF_INET))
print(S.if_nameindex(), S.if_nametoindex('lo'))
print(S.getaddrinfo('localhost',80,type=S.SOCK_STREAM)[0][4])
import fcntl
s=S.socket(S.AF_INET,S.SOCK_DGRAM)
for r in (0x8913,0x8915,0x891b,0x8921,0x8927,0x8933): print(hex(r),fcntl.ioctl(s,r,b'lo'+b'\0'*38).hex())
print(e(fcntl.ioctl,s,0x8913,b'nope'+b'\0'*36))
print(len(open('/proc/net/dev').read().split('\n')),open('/proc/net/tcp').read().split()[:3],open('/proc/net/unix').readline())
n=S.socket(S.AF_NETLINK,S.SOCK_RAW,0); n.bind((0,0));
n.send(struct.pack('IHHII',20,18,0x301,7,0)+b'\0'*4); d=n.recv(65536); print(struct.unpack('IHHI',d[:12])[1:]); d=n.recv(65536); print(struct.unpack('IHHI',d[:12])[1:])
u=S.socket(S.AF_NETLINK,S.SOCK_RAW,15); print(e(u.bind,(0,1)),e(u.recv,1,S.MSG_DONTWAIT))`;

/** What tells of the network, by the tools' own system calls. */
const files =
	"head -1 /proc/net/tcp /proc/net/udp6 /proc/net/unix; grep -c lo: /proc/net/dev; cat /proc/net/if_inet6; ls /proc/net | grep -c '^tcp'";

export const socketCases: readonly ConformanceCase[] = [
	{ name: 'unix', script: `python3 -u - <<'E'\n${unix}\nE` },
	{ name: 'internet', script: `python3 -u - <<'E'\n${internet}\nE` },
	{ name: 'proc-net', script: files },
];
