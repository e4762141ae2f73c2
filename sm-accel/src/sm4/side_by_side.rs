//! Chains of blocks under different keys, each in a lane of the cipher.

use super::keys::Sm4;
use super::lanes::{Lanes, MOST};
use super::wipe::wipe;

/// Blocks that are encrypted one after the other under one key.
pub(super) trait Chain<'a> {
    /// The key; all chains of a run have one backend.
    fn key(&self) -> &'a Sm4;

    /// Writes the next block to encrypt; `false` at the end.
    fn next(&mut self, block: &mut [u8; 16]) -> bool;

    /// Takes the encryption of the block that [`next`](Self::next) gave.
    fn take(&mut self, block: &[u8; 16]);
}

/// Runs all chains to their ends; a lane whose chain ends takes the next one.
pub(super) fn run<'a, C: Chain<'a>>(chains: &mut [C]) {
    let Some(backend) = chains.first().map(|chain| chain.key().backend()) else {
        return;
    };
    let width = Lanes::width(backend);
    let mut lanes = Lanes::new(backend);
    let mut slots: [Option<&mut C>; MOST] = [const { None }; MOST];
    let mut blocks = [[0; 16]; MOST];
    let mut waiting = chains.iter_mut();
    loop {
        let mut busy = 0_usize;
        for (i, (slot, block)) in slots.iter_mut().zip(&mut blocks).take(width).enumerate() {
            loop {
                if slot.as_mut().is_some_and(|chain| chain.next(block)) {
                    busy = i.saturating_add(1);
                    break;
                }
                *slot = waiting.next();
                match slot {
                    Some(chain) => lanes.set(i, chain.key()),
                    None => break,
                }
            }
        }
        let Some(used) = blocks.get_mut(..busy).filter(|used| !used.is_empty()) else {
            break;
        };
        lanes.encrypt(used);
        for (slot, block) in slots.iter_mut().zip(used.iter()) {
            if let Some(chain) = slot {
                chain.take(block);
            }
        }
    }
    wipe(&mut blocks);
}
