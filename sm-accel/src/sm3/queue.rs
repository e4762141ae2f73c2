//! Messages of unequal lengths through lanes: a lane that ends its message takes the next one that waits.

use core::slice;

use crate::cpu::Backend;
#[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
use crate::cpu::Kernels;
use crate::sm3::cohort::{Cohort, digest_together};
use crate::sm3::compress::{compress, digest_of, pad};
use crate::sm3::job::Job;
use crate::sm3::lanes::{LaneKernel, LaneStates};
#[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
use crate::sm3::lanes_avx512_pair::Pair;
use crate::sm3::rounds::{BLOCK, DIGEST, State};

/// Digest `i` of `out` becomes that of `job(i)`.
pub(crate) fn digest_all<'a>(
    backend: Backend,
    job: impl Fn(usize) -> Option<Job<'a>>,
    out: &mut [[u8; DIGEST]],
) {
    match backend.kernels() {
        #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
        Kernels::Avx2Aesni(token) if out.len() > 1 => in_lanes(backend, token, job, out),
        #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
        Kernels::Avx2Vaes(token) if out.len() > 1 => {
            in_lanes(backend, crate::cpu::Avx2Aesni::from(token), job, out);
        }
        #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
        Kernels::Avx2Gfni(token) if out.len() > 1 => {
            in_lanes(backend, crate::cpu::Avx2Aesni::from(token), job, out);
        }
        #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
        Kernels::Avx512Gfni(token) if out.len() > 16 => {
            in_lanes(backend, Pair(token), job, out);
        }
        #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
        Kernels::Avx512Gfni(token) if out.len() > 1 => in_lanes(backend, token, job, out),
        _ => {
            let mut lane = Lane::idle();
            for (i, digest) in out.iter_mut().enumerate() {
                if let Some(job) = job(i) {
                    let start = lane.begin(i, &job);
                    *digest = lane.finish_alone(backend, start);
                }
            }
        }
    }
}

/// One lane's message and how far it has come. Wiped on drop.
struct Lane<'a> {
    /// Which message, `None` for an idle lane.
    index: Option<usize>,
    /// Whole blocks to absorb, where the caller has them.
    direct: &'a [u8],
    /// Blocks put together here, from `from` to `to`: pieces of several parts, and the padding.
    buffer: [u8; 2 * BLOCK],
    from: usize,
    to: usize,
    /// What comes after that.
    current: &'a [u8],
    parts: slice::Iter<'a, &'a [u8]>,
    /// Bytes before the padding, those behind the first state included.
    bytes: u64,
    /// The padding is in the buffer.
    padded: bool,
    outer: Option<&'a State>,
}

impl<'a> Lane<'a> {
    fn idle() -> Self {
        Self {
            index: None,
            direct: &[],
            buffer: [0; 2 * BLOCK],
            from: 0,
            to: 0,
            current: &[],
            parts: [].iter(),
            bytes: 0,
            padded: true,
            outer: None,
        }
    }

    /// Takes a message; the state to start from.
    #[inline]
    fn begin(&mut self, index: usize, job: &Job<'a>) -> &'a State {
        self.index = Some(index);
        self.current = &[];
        self.parts = job.parts.iter();
        self.bytes = job.blocks.wrapping_mul(BLOCK as u64);
        self.padded = false;
        self.outer = job.outer;
        self.refill();
        job.start
    }

    /// Finds the next blocks: never none, unless the padding has gone.
    #[inline]
    fn refill(&mut self) {
        while self.current.is_empty() {
            match self.parts.next() {
                Some(part) => self.current = part,
                None => break,
            }
        }
        if self.current.len() >= BLOCK {
            let whole = self.current.len() & !(BLOCK - 1);
            (self.direct, self.current) = self.current.split_at(whole);
            self.bytes = self.bytes.wrapping_add(whole as u64);
            return;
        }
        let mut filled = 0;
        loop {
            let free = self.buffer.get_mut(filled..BLOCK).unwrap_or_default();
            let taken = free.len().min(self.current.len());
            let (head, tail) = self.current.split_at(taken);
            if let Some(free) = free.get_mut(..taken) {
                free.copy_from_slice(head);
            }
            self.current = tail;
            filled = filled.wrapping_add(taken);
            if filled == BLOCK {
                self.from = 0;
                self.to = BLOCK;
                break;
            }
            match self.parts.next() {
                Some(part) => self.current = part,
                None => {
                    self.pad_from(filled);
                    break;
                }
            }
        }
        self.bytes = self.bytes.wrapping_add(filled as u64);
    }

    /// The padding after `filled` bytes of the buffer, which `bytes` does not count yet.
    #[inline]
    fn pad_from(&mut self, filled: usize) {
        self.from = 0;
        self.to = pad(
            &mut self.buffer,
            filled,
            self.bytes.wrapping_add(filled as u64),
        );
        self.padded = true;
    }

    /// HMAC's second message: the digest, which is moved here, behind the outer state.
    #[inline]
    fn begin_outer(&mut self, digest: &mut [u8; DIGEST]) {
        if let Some(place) = self.buffer.first_chunk_mut::<DIGEST>() {
            *place = *digest;
        }
        *digest = [0; DIGEST];
        zeroize::optimization_barrier(digest);
        self.bytes = BLOCK as u64;
        self.pad_from(DIGEST);
    }

    #[inline]
    fn input(&self) -> &[u8] {
        if self.direct.is_empty() {
            self.buffer.get(self.from..self.to).unwrap_or_default()
        } else {
            self.direct
        }
    }

    /// Steps over `bytes` that were absorbed.
    #[inline]
    fn advance(&mut self, bytes: usize) {
        if self.direct.is_empty() {
            self.from = self.from.wrapping_add(bytes);
        } else {
            self.direct = self.direct.get(bytes..).unwrap_or_default();
        }
    }

    #[inline]
    fn is_drained(&self) -> bool {
        self.direct.is_empty() && self.from >= self.to
    }

    /// The rest of the message by itself.
    fn finish_alone(&mut self, backend: Backend, start: &State) -> [u8; DIGEST] {
        let mut state = *start;
        let digest = loop {
            let (blocks, _) = self.input().as_chunks::<BLOCK>();
            compress(backend, &mut state, blocks);
            self.direct = &[];
            self.from = self.to;
            if !self.padded {
                self.refill();
                continue;
            }
            let mut digest = digest_of(&state);
            match self.outer.take() {
                Some(outer) => {
                    state = *outer;
                    self.begin_outer(&mut digest);
                }
                None => break digest,
            }
        };
        self.index = None;
        state = [0; 8];
        zeroize::optimization_barrier(&state);
        digest
    }
}

impl Drop for Lane<'_> {
    fn drop(&mut self) {
        self.buffer = [0; 2 * BLOCK];
        zeroize::optimization_barrier(&self.buffer);
    }
}

/// The order to begin messages in: as they come, or longest first when a few are much longer than the rest and
/// one of them, begun last, would leave the other lanes idle.
#[cfg_attr(
    not(all(target_arch = "x86_64", not(sm_accel_portable))),
    allow(dead_code, reason = "the portable backend has no lanes")
)]
fn order<'a, const L: usize>(
    indices: &[usize],
    job: impl Fn(usize) -> Option<Job<'a>>,
) -> Option<Vec<(usize, usize)>> {
    let lengths = || indices.iter().map(|i| job(*i).map_or(0, |job| job.len()));
    if indices.len() <= L {
        return None;
    }
    let longest = lengths().max().unwrap_or_default();
    let mean = lengths()
        .fold(0, usize::saturating_add)
        .checked_div(indices.len())
        .unwrap_or_default();
    if longest < mean.saturating_mul(2).saturating_add(16 * BLOCK) {
        return None;
    }
    let mut order: Vec<(usize, usize)> = lengths().zip(indices.iter().copied()).collect();
    order.sort_unstable_by(|a, b| b.cmp(a));
    Some(order)
}

#[cfg_attr(
    not(all(target_arch = "x86_64", not(sm_accel_portable))),
    allow(dead_code, reason = "the portable backend has no lanes")
)]
fn in_lanes<'a, const L: usize, K: LaneKernel<L>>(
    backend: Backend,
    kernel: K,
    job: impl Fn(usize) -> Option<Job<'a>>,
    out: &mut [[u8; DIGEST]],
) {
    // What is short goes through the lanes together, the rest lane by lane.
    let mut cohort = Cohort::<L>::new();
    let mut rest = Vec::new();
    let mut from = 0_usize;
    for digests in out.chunks_mut(L) {
        let to = from.saturating_add(digests.len());
        let mut jobs = [const { None }; L];
        for (place, i) in jobs.iter_mut().zip(from..to) {
            *place = job(i);
        }
        if !digest_together(kernel, &mut cohort, &jobs, digests) {
            rest.extend(from..to);
        }
        from = to;
    }
    if !rest.is_empty() {
        lane_by_lane(backend, kernel, job, &rest, out);
    }
}

/// Digest `i` of `out` for the `i` in `indices`.
#[cfg_attr(
    not(all(target_arch = "x86_64", not(sm_accel_portable))),
    allow(dead_code, reason = "the portable backend has no lanes")
)]
fn lane_by_lane<'a, const L: usize, K: LaneKernel<L>>(
    backend: Backend,
    kernel: K,
    job: impl Fn(usize) -> Option<Job<'a>>,
    indices: &[usize],
    out: &mut [[u8; DIGEST]],
) {
    let order = order::<L>(indices, &job);
    let mut started = 0_usize;
    let mut next = || {
        let index = match &order {
            None => *indices.get(started)?,
            Some(order) => order.get(started)?.1,
        };
        started = started.wrapping_add(1);
        Some((index, job(index)?))
    };
    let mut states = LaneStates::<L>::new();
    let mut lanes: [Lane<'a>; L] = core::array::from_fn(|_| Lane::idle());
    let mut active = 0_usize;
    for (l, lane) in lanes.iter_mut().enumerate() {
        if let Some((index, job)) = next() {
            states.set(l, lane.begin(index, &job));
            active = active.wrapping_add(1);
        }
    }
    // One lane by itself is no faster than a message by itself.
    while active > 1 {
        // Idle lanes do some busy lane's work again, for nothing.
        let busy = lanes.iter().find(|lane| lane.index.is_some());
        let spare: &[u8] = busy.map_or(&[], Lane::input);
        let mut inputs = [spare; L];
        for (input, lane) in inputs.iter_mut().zip(&lanes) {
            if lane.index.is_some() {
                *input = lane.input();
            }
        }
        let last = lanes.iter().rposition(|lane| lane.index.is_some());
        let used = last.map_or(0, |last| last.wrapping_add(1));
        let absorbed = kernel
            .absorb(&mut states, &inputs, used)
            .wrapping_mul(BLOCK);
        for (l, lane) in lanes.iter_mut().enumerate() {
            let Some(index) = lane.index else { continue };
            lane.advance(absorbed);
            if !lane.is_drained() {
                continue;
            }
            if !lane.padded {
                lane.refill();
                continue;
            }
            let mut digest = digest_of(&states.get(l));
            if let Some(outer) = lane.outer.take() {
                states.set(l, outer);
                lane.begin_outer(&mut digest);
                continue;
            }
            if let Some(place) = out.get_mut(index) {
                *place = digest;
            }
            match next() {
                Some((index, job)) => states.set(l, lane.begin(index, &job)),
                None => {
                    lane.index = None;
                    active = active.wrapping_sub(1);
                }
            }
        }
    }
    for (l, lane) in lanes.iter_mut().enumerate() {
        if let Some(place) = lane.index.and_then(|index| out.get_mut(index)) {
            let mut state = states.get(l);
            *place = lane.finish_alone(backend, &state);
            state = [0; 8];
            zeroize::optimization_barrier(&state);
        }
    }
}
