//! Short messages side by side, one a lane from their first block to their last: nothing is scheduled in between.
//!
//! What a table's column, a Merkle level or a batch of tokens has to be hashed, is mostly this: messages of a few blocks,
//! of about one length.
#![cfg_attr(
    not(all(target_arch = "x86_64", not(sm_accel_portable))),
    allow(dead_code, reason = "the portable backend has no lanes")
)]

use crate::sm3::compress::pad;
use crate::sm3::job::Job;
use crate::sm3::lanes::{LaneKernel, LaneStates};
use crate::sm3::rounds::{BLOCK, DIGEST};

/// The most blocks of a message here, padding included: longer ones fill lanes well by themselves.
const MOST: usize = 4;

/// Fewer messages are faster one by one.
const FEWEST: usize = 3;

/// Messages put together and padded, for one cohort after the other. Wiped on drop.
pub(crate) struct Cohort<const L: usize> {
    buffers: [[u8; MOST * BLOCK]; L],
    /// Blocks of each; none of a lane that is idle.
    blocks: [usize; L],
    /// The most that any cohort had.
    used: usize,
}

impl<const L: usize> Cohort<L> {
    pub(crate) fn new() -> Self {
        Self {
            buffers: [[0; MOST * BLOCK]; L],
            blocks: [0; L],
            used: 0,
        }
    }

    /// Takes messages of at most `MOST * BLOCK - 9` bytes.
    #[inline]
    fn fill<'a>(&mut self, jobs: impl Iterator<Item = &'a Job<'a>>) -> Option<()> {
        self.blocks = [0; L];
        let places = self.buffers.iter_mut().zip(&mut self.blocks);
        for (job, (buffer, blocks)) in jobs.zip(places) {
            let mut filled = 0_usize;
            for part in job.parts {
                let end = filled.checked_add(part.len())?;
                buffer.get_mut(filled..end)?.copy_from_slice(part);
                filled = end;
            }
            let before = job.blocks.wrapping_mul(BLOCK as u64);
            let bytes = before.wrapping_add(filled as u64);
            // The padding starts in the block of the last byte, or behind it.
            let whole = filled & !(BLOCK - 1);
            let tail = buffer.get_mut(whole..)?;
            let padded = pad(tail, filled.wrapping_sub(whole), bytes);
            *blocks = whole.wrapping_add(padded).div_euclid(BLOCK);
            self.used = self.used.max(*blocks);
        }
        Some(())
    }
}

impl<const L: usize> Drop for Cohort<L> {
    fn drop(&mut self) {
        let used = self.used.wrapping_mul(BLOCK);
        for buffer in &mut self.buffers {
            buffer.get_mut(..used).unwrap_or_default().fill(0);
        }
        zeroize::optimization_barrier(&self.buffers);
    }
}

/// Digest `i` of `out` becomes that of message `i` of `jobs`, of which there are as many. Whether that was done: not for
/// few messages, long ones, or some much longer than others.
#[inline]
pub(crate) fn digest_together<'a, const L: usize, K: LaneKernel<L>>(
    kernel: K,
    cohort: &mut Cohort<L>,
    jobs: &[Option<Job<'a>>; L],
    out: &mut [[u8; DIGEST]],
) -> bool {
    let count = out.len();
    let jobs = || jobs.iter().flatten();
    let Some(first) = jobs().next() else {
        return false;
    };
    let with_outer = jobs().filter(|job| job.outer.is_some()).count();
    if count < FEWEST || jobs().count() != count || (with_outer != 0 && with_outer != count) {
        return false;
    }
    if jobs().any(|job| job.len() > MOST * BLOCK - 9) {
        return false;
    }
    if cohort.fill(jobs()).is_none() {
        return false;
    }
    let longest = cohort.blocks.iter().copied().max().unwrap_or_default();
    let blocks = cohort
        .blocks
        .iter()
        .fold(0_usize, |sum, n| sum.saturating_add(*n));
    // A quarter of the work may be for nothing: so much the scheduling of lanes would cost.
    if blocks.saturating_mul(4) < longest.saturating_mul(count).saturating_mul(3) {
        return false;
    }
    let inputs = |from: usize, to: usize| {
        let range = from.wrapping_mul(BLOCK)..to.wrapping_mul(BLOCK);
        cohort
            .buffers
            .each_ref()
            .map(|buffer| buffer.get(range.clone()).unwrap_or_default())
    };
    let mut states = LaneStates::<L>::new();
    states.set_all(jobs().map(|job| job.start), first.start);
    if blocks == longest.saturating_mul(count) {
        kernel.absorb(&mut states, &inputs(0, longest), count);
    } else {
        let mut ended = LaneStates::<L>::new();
        for n in 0..longest {
            kernel.absorb(&mut states, &inputs(n, n.wrapping_add(1)), count);
            for (lane, blocks) in cohort.blocks.iter().enumerate() {
                if *blocks == n.wrapping_add(1) {
                    ended.set(lane, &states.get(lane));
                }
            }
        }
        states = ended;
    }
    if let Some(outer) = first.outer {
        let mut outers = LaneStates::<L>::new();
        outers.set_all(jobs().filter_map(|job| job.outer), outer);
        kernel.absorb_digests(&mut outers, &states, count);
        states = outers;
    }
    states.digests(out);
    true
}
