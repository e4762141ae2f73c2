//! The traits of the `cipher` crate, so that `ctr`, `cbc` and other modes compose over [`Sm4`].

use cipher::consts::{U16, U64};
use cipher::inout::{InOut, InOutBuf};
use cipher::{
    AlgorithmName, Block, BlockCipherDecBackend, BlockCipherDecClosure, BlockCipherDecrypt,
    BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser, Key, KeyInit,
    KeySizeUser, ParBlocks, ParBlocksSizeUser,
};

use super::keys::Sm4;
use super::lanes::MOST;
use super::wipe::wipe;

impl KeySizeUser for Sm4 {
    type KeySize = U16;
}

impl KeyInit for Sm4 {
    fn new(key: &Key<Self>) -> Self {
        Self::new(&key.0)
    }
}

impl BlockSizeUser for Sm4 {
    type BlockSize = U16;
}

impl ParBlocksSizeUser for Sm4 {
    type ParBlocksSize = U64;
}

impl AlgorithmName for Sm4 {
    fn write_alg_name(f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Sm4")
    }
}

impl BlockCipherEncrypt for Sm4 {
    fn encrypt_with_backend(&self, f: impl BlockCipherEncClosure<BlockSize = U16>) {
        f.call(self);
    }
}

impl BlockCipherDecrypt for Sm4 {
    fn decrypt_with_backend(&self, f: impl BlockCipherDecClosure<BlockSize = U16>) {
        f.call(self);
    }
}

/// Through a buffer of plain arrays; input and output may be the same memory or not.
fn through(mut blocks: InOutBuf<'_, '_, Block<Sm4>>, work: impl Fn(&mut [[u8; 16]])) {
    let mut buffer = [[0u8; 16]; MOST];
    while !blocks.is_empty() {
        let count = blocks.len().min(MOST);
        let (mut group, rest) = blocks.split_at(count);
        let (used, _) = buffer.split_at_mut(count);
        for (to, from) in used.iter_mut().zip(group.get_in()) {
            *to = from.0;
        }
        work(used);
        for (to, from) in group.get_out().iter_mut().zip(used.iter()) {
            to.0 = *from;
        }
        blocks = rest;
    }
    wipe(buffer.as_flattened_mut());
}

impl BlockCipherEncBackend for Sm4 {
    fn encrypt_block(&self, mut block: InOut<'_, '_, Block<Self>>) {
        let mut one = block.get_in().0;
        self.encrypt_blocks(core::slice::from_mut(&mut one));
        block.get_out().0 = one;
    }

    fn encrypt_par_blocks(&self, blocks: InOut<'_, '_, ParBlocks<Self>>) {
        through(blocks.into_buf(), |all| self.encrypt_blocks(all));
    }

    fn encrypt_tail_blocks(&self, blocks: InOutBuf<'_, '_, Block<Self>>) {
        through(blocks, |all| self.encrypt_blocks(all));
    }
}

impl BlockCipherDecBackend for Sm4 {
    fn decrypt_block(&self, mut block: InOut<'_, '_, Block<Self>>) {
        let mut one = block.get_in().0;
        self.decrypt_blocks(core::slice::from_mut(&mut one));
        block.get_out().0 = one;
    }

    fn decrypt_par_blocks(&self, blocks: InOut<'_, '_, ParBlocks<Self>>) {
        through(blocks.into_buf(), |all| self.decrypt_blocks(all));
    }

    fn decrypt_tail_blocks(&self, blocks: InOutBuf<'_, '_, Block<Self>>) {
        through(blocks, |all| self.decrypt_blocks(all));
    }
}
