//! What a kernel of many lanes offers to the schedulers above it.

use crate::sm3::rounds::{BLOCK, DIGEST, State};

/// The states of `L` messages, word by word: element `l` of word `i` is word `i` of message `l`. Wiped on drop.
#[derive(Clone)]
#[repr(align(64))]
pub(crate) struct LaneStates<const L: usize>(pub(crate) [[u32; L]; 8]);

impl<const L: usize> LaneStates<L> {
    pub(crate) fn new() -> Self {
        Self([[0; L]; 8])
    }

    #[inline]
    pub(crate) fn set(&mut self, lane: usize, state: &State) {
        for (words, word) in self.0.iter_mut().zip(state) {
            if let Some(place) = words.get_mut(lane) {
                *place = *word;
            }
        }
    }

    /// Lane by lane; `first` is the first of them, and often all are one and the same.
    #[inline]
    pub(crate) fn set_all<'a>(
        &mut self,
        all: impl Iterator<Item = &'a State> + Clone,
        first: &'a State,
    ) {
        if all.clone().all(|state| core::ptr::eq(state, first)) {
            for (words, word) in self.0.iter_mut().zip(first) {
                words.fill(*word);
            }
        } else {
            for (lane, state) in all.enumerate() {
                self.set(lane, state);
            }
        }
    }

    /// The digests of the first lanes, as many as `out` takes.
    #[inline]
    pub(crate) fn digests(&self, out: &mut [[u8; DIGEST]]) {
        for (lane, digest) in out.iter_mut().enumerate() {
            let (places, _) = digest.as_chunks_mut::<4>();
            for (place, words) in places.iter_mut().zip(&self.0) {
                *place = words.get(lane).copied().unwrap_or_default().to_be_bytes();
            }
        }
    }

    #[inline]
    pub(crate) fn get(&self, lane: usize) -> State {
        let mut state = [0; 8];
        for (word, words) in state.iter_mut().zip(&self.0) {
            *word = words.get(lane).copied().unwrap_or_default();
        }
        state
    }
}

impl<const L: usize> Drop for LaneStates<L> {
    fn drop(&mut self) {
        self.0 = [[0; L]; 8];
        zeroize::optimization_barrier(self);
    }
}

/// A kernel of `L` lanes. Its value is the proof that the CPU can run it. From lane `used` on, states are of no interest.
pub(crate) trait LaneKernel<const L: usize>: Copy {
    /// Absorbs as many whole blocks as the shortest input has, from the start of each input, and says how many.
    fn absorb(self, states: &mut LaneStates<L>, inputs: &[&[u8]; L], used: usize) -> usize;

    /// HMAC's second message: absorbs the block that pads the digest `digests`, the second behind each state.
    fn absorb_digests(self, states: &mut LaneStates<L>, digests: &LaneStates<L>, used: usize);
}

/// Blocks that every input has.
#[inline]
pub(crate) fn common_blocks<const L: usize>(inputs: &[&[u8]; L]) -> usize {
    let shortest = inputs.iter().map(|input| input.len()).min();
    shortest.unwrap_or_default() / BLOCK
}
