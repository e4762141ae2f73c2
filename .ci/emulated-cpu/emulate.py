"""Runs a static Linux x86-64 program on an emulated Tiger Lake: AVX-512, GFNI, VAES, VPCLMULQDQ, IFMA.

    emulate.py PROGRAM [ARGUMENT...]

The kernels for CPUs wider than the machine at hand are run this way. The CPU is Bochs, as PyPI's
`bochscpu-python` packs it. The program runs at ring 0 in a flat address space of its own; SYSCALL enters a stub
that lays the arguments into a mailbox page and executes WBINVD, which the emulator reports to this script. Only
what a single-threaded test binary asks of Linux is answered: it can read files and write to its standard output.

The clock is the host's. About 50 million instructions a second.
"""
import ctypes
import mmap
import os
import struct
import sys
import time

import bochscpu
from bochscpu import memory

# The library builds an older CPU model; its constructor is made to jump to the one of Tiger Lake, which has GFNI,
# VAES and VPCLMULQDQ beside AVX-512.
def take_tigerlake():
    library = ctypes.CDLL(bochscpu._bochscpu.__file__)
    address = lambda name: ctypes.cast(getattr(library, name), ctypes.c_void_p).value
    new = address("_Z22create_tigerlake_cpuidP8BX_CPU_C")
    libc = ctypes.CDLL(None)
    for name in ("corei3_cnl", "corei7_icelake_u", "corei7_skylake_x"):
        old = address(f"_Z{len('create__cpuid') + len(name)}create_{name}_cpuidP8BX_CPU_C")
        page = old & ~4095
        assert libc.mprotect(ctypes.c_void_p(page), 8192, 7) == 0
        ctypes.memmove(old, b"\x48\xb8" + struct.pack("<Q", new) + b"\xff\xe0", 12)

take_tigerlake()

MEM = 768 << 20
BASE = 0x400000            # where a position-independent program is put
MAILBOX, STUB, TABLES, GDT, IDT, FAULT = 0x1000, 0x2000, 0x10000, 0x3000, 0x4000, 0x5000
STACK_TOP = 0x8000000
HEAP = 0x8000000           # brk area, then mmap area
MMAP = 0x10000000

ram = mmap.mmap(-1, MEM)
host = ctypes.addressof(ctypes.c_char.from_buffer(ram))

def put(at, data):
    ram[at:at + len(data)] = data

def get(at, size):
    return ram[at:at + size]

def cstr(at):
    return ram[at:ram.find(b"\0", at)]

def rw(op, reg, disp):
    """mov between a 64-bit register and [disp32]."""
    return bytes([0x48 | ((reg >> 3) << 2), op, 0x04 | ((reg & 7) << 3), 0x25]) + struct.pack("<I", disp)

# rax rdi rsi rdx r10 r8 r9
ARGS = (0, 7, 6, 2, 10, 8, 9)
stub = b"".join(rw(0x89, reg, MAILBOX + 8 * i) for i, reg in enumerate(ARGS))
# arch_prctl(ARCH_SET_FS, address): wrfsbase rsi; xor eax, eax; jmp rcx
prctl = bytes.fromhex("f3480faed6" "31c0" "ffe1")
stub += bytes.fromhex("3d9e000000" "7509") + prctl
stub += bytes.fromhex("0f09") + rw(0x8b, 0, MAILBOX + 56) + bytes.fromhex("ffe1")
assert len(prctl) == 9

class Exit(Exception):
    pass

class Linux:
    def __init__(self):
        self.brk, self.top, self.status, self.start = HEAP, MMAP, None, time.time()

    def call(self, n, a, b, c, d, e, f):
        if n == 1:  # write
            return os.write(a, get(b, c))
        if n == 20:  # writev
            data = b"".join(get(*struct.unpack("<QQ", get(b + 16 * i, 16))) for i in range(c))
            return os.write(a, data)
        if n == 0:  # read
            data = os.read(a, c)
            put(b, data)
            return len(data)
        if n == 9:  # mmap
            assert d & 0x20, "only anonymous mmap"
            if d & 0x10:
                put(a, bytes(b))
                return a
            at = self.top
            self.top += (b + 0xffff) & ~0xffff
            if self.top > MEM - (1 << 20):
                return -12
            return at
        if n == 25:  # mremap
            at = self.top
            self.top += (c + 0xffff) & ~0xffff
            put(at, get(a, min(b, c)))
            return at
        if n == 12:  # brk
            if HEAP <= a < MMAP:
                self.brk = a
            return self.brk
        if n in (60, 231):  # exit, exit_group
            self.status = a & 0xff
            raise Exit
        # mprotect, munmap, signals, madvise, yield, futex, fcntl: nothing to do
        if n in (10, 11, 13, 14, 24, 28, 72, 131, 202, 218, 273):
            return 0
        if n in (39, 186):  # getpid, gettid
            return 1
        if n in (56, 435):  # no threads: libtest then runs its tests on this one
            return -11
        if n == 7:  # poll: whatever is asked of (a random device) is ready
            for i in range(b):
                fd, events, _ = struct.unpack("<ihh", get(a + 8 * i, 8))
                put(a + 8 * i, struct.pack("<ihh", fd, events, events))
            return b
        if n == 228:  # clock_gettime
            now = time.time() - self.start
            put(b, struct.pack("<QQ", int(now) + 1_700_000_000 * (a == 0), int(now % 1 * 1e9)))
            return 0
        if n == 318:  # getrandom
            put(a, os.urandom(b))
            return b
        if n == 204:  # sched_getaffinity
            put(c, struct.pack("<Q", 1))
            return 8
        if n == 257:  # openat
            try:
                return os.open(cstr(b), os.O_RDONLY)
            except OSError as error:
                return -error.errno
        if n == 3:  # close
            if a > 2:
                os.close(a)
            return 0
        if n == 8:  # lseek
            return os.lseek(a, b, c)
        if n == 79:  # getcwd
            cwd = os.getcwdb() + b"\0"
            put(a, cwd)
            return len(cwd)
        if n == 217:  # getdents64
            return self.getdents(a, b, c)
        return -38  # ENOSYS

    dirs = {}

    def getdents(self, fd, at, size):
        names = self.dirs.setdefault(fd, [n for n in os.listdir(fd)])
        out = b""
        while names:
            name = os.fsencode(names[0])
            record = (19 + len(name) + 1 + 7) & ~7
            if len(out) + record > size:
                break
            kind = 8 if os.path.isfile(f"/proc/self/fd/{fd}/{names[0]}") else 4
            out += (struct.pack("<QQHB", 1, 1, record, kind) + name).ljust(record, b"\0")
            names.pop(0)
        put(at, out)
        return len(out)

linux = Linux()

def syscall(session, *_):
    n, *args = struct.unpack("<7Q", get(MAILBOX, 56))
    try:
        result = linux.call(n, *args)
    except Exit:
        session.stop()
        result = 0
    except Exception as error:  # a bug of this file: stop, say it
        print(f"syscall {n} {[hex(x) for x in args]}: {error!r}", file=sys.stderr)
        linux.status = 125
        session.stop()
        result = -38
    put(MAILBOX + 56, struct.pack("<q", result))

def exception(session, cpu, vector, code):
    s = session.cpu.state
    print(f"exception {vector} code {code:#x} at rip {s.rip:#x} (program {s.rip - BASE:#x}) cr2 {s.cr2:#x}: {get(s.rip & (MEM - 1), 12).hex()}", file=sys.stderr)
    linux.status = 124
    session.stop()

def load(path):
    image = open(path, "rb").read()
    kind, = struct.unpack_from("<H", image, 16)
    entry, phoff = struct.unpack_from("<QQ", image, 24)
    phnum, = struct.unpack_from("<H", image, 56)
    base = BASE if kind == 3 else 0
    phdr = 0
    for i in range(phnum):
        t, flags, off, va, _, filesz, memsz, _ = struct.unpack_from("<IIQQQQQQ", image, phoff + 56 * i)
        if t == 1:
            put(base + va, image[off:off + filesz])
            if off <= phoff < off + filesz:
                phdr = base + va + phoff - off
    return base + entry, phdr, phnum

def main():
    entry, phdr, phnum = load(sys.argv[1])
    put(STUB, stub)
    # Identity map: 2 MiB pages over the whole memory.
    put(TABLES, struct.pack("<Q", (TABLES + 0x1000) | 7))
    for g in range((MEM >> 30) + 1):
        put(TABLES + 0x1000 + 8 * g, struct.pack("<Q", (TABLES + 0x2000 + 0x1000 * g) | 7))
    for p in range(MEM >> 21):
        put(TABLES + 0x2000 + 8 * p, struct.pack("<Q", (p << 21) | 0x87))
    for page in range(0, MEM, 4096):
        memory.page_insert(page, host + page)
    # argv, environment, auxiliary vector
    strings, at = [], STACK_TOP - 65536
    def text(s):
        nonlocal at
        put(at, s + b"\0")
        at += len(s) + 1
        return at - len(s) - 1
    argv = [text(os.fsencode(a)) for a in sys.argv[1:]]
    env = [text(os.fsencode(f"{k}={v}")) for k, v in os.environ.items()
           if k.startswith(("RUST_", "SM_", "PROPTEST_", "VECTORS_", "REQUIRE_", "SM2_"))]
    random = at
    put(at, os.urandom(16))
    aux = [3, phdr, 4, 56, 5, phnum, 6, 4096, 9, entry, 11, 0, 12, 0, 13, 0, 14, 0, 23, 0, 25, random, 16, 0, 0, 0]
    words = [len(argv), *argv, 0, *env, 0, *aux]
    sp = (STACK_TOP - 131072 - 8 * len(words)) & ~15
    put(sp, struct.pack(f"<{len(words)}Q", *words))

    session = bochscpu.Session()
    session.missing_page_handler = lambda gpa: print(f"missing page {gpa:#x}", file=sys.stderr)
    state = bochscpu.State()
    state.cr0 = 0x80000033 & ~4
    state.cr3 = TABLES
    state.cr4 = 0x20 | 0x200 | 0x400 | 0x10000 | 0x40000
    state.efer = 0x501
    state.xcr0 = 0xe7
    state.star = (0x08 << 32) | (0x08 << 48)
    state.lstar = STUB
    state.sfmask = 0
    state.rip, state.rsp, state.rflags = entry, sp, 2
    state.mxcsr, state.mxcsr_mask = 0x1f80, 0xffff
    state.fpcw = 0x37f
    state.fptw = 0xffff
    def segment(selector, attr):
        s = bochscpu.Segment()
        s.present, s.selector, s.base, s.limit, s.attr = True, selector, 0, 0xffffffff, attr
        return s
    state.cs = segment(0x08, 0xa09b)
    for name in ("ss", "ds", "es", "fs", "gs"):
        setattr(state, name, segment(0x10, 0xc093))
    session.cpu.state = state
    hook = bochscpu.Hook()
    hook.cache_cntrl = syscall
    hook.exception = exception
    session.run([hook])
    sys.stdout.flush()
    os._exit(linux.status if linux.status is not None else 123)

main()
