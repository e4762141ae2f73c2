//! Writes batches: sequence, chain, frames, one append, one sync. Single-threaded.

use crate::chain::{self, Hash};
use crate::checkpoint::{Checkpoint, CheckpointSigner, SignedCheckpoint, hash_of};
use crate::clock::Clock;
use crate::error::{Error, SignError};
use crate::frame::{self, FrameKind};
use crate::recovery::{Recovered, SetAside};
use crate::segment::{self, StreamState};
use crate::storage::Storage;
use std::sync::Arc;

/// One record, ready to be placed in the chain.
pub(crate) struct Prepared {
    pub(crate) bytes: Vec<u8>,
    pub(crate) leaf: Hash,
}

/// What one batch did.
pub(crate) struct Batch {
    /// The sequence of its first record.
    pub(crate) first: u64,
    /// The head it signed, or why it could not, if it was to.
    pub(crate) head: Option<Result<SignedCheckpoint, SignError>>,
}

/// The one writer of a stream.
pub(crate) struct Writer {
    stream: Arc<str>,
    storage: Box<dyn Storage>,
    signer: Box<dyn CheckpointSigner>,
    clock: Arc<dyn Clock>,
    segment_bytes: u64,
    state: StreamState,
    index: u64,
    length: u64,
    /// After a failed write or sync nothing is known of what is on disk: nothing is tried again.
    failed: Option<Error>,
    buffer: Vec<u8>,
}

impl Writer {
    /// Goes on from where recovery found the stream; makes the first segment if there is none.
    pub(crate) fn start(
        stream: Arc<str>,
        storage: Box<dyn Storage>,
        signer: Box<dyn CheckpointSigner>,
        clock: Arc<dyn Clock>,
        segment_bytes: u64,
        recovered: &Recovered,
    ) -> Result<Self, Error> {
        let (index, length) = recovered.segment.unwrap_or((0, 0));
        let mut writer = Self {
            stream,
            storage,
            signer,
            clock,
            segment_bytes,
            state: recovered.state.clone(),
            index,
            length,
            failed: None,
            buffer: Vec::new(),
        };
        if length == 0 {
            writer.begin_segment(recovered.segment.is_none())?;
        }
        Ok(writer)
    }

    /// The stream's next sequence: how many records it holds.
    pub(crate) fn size(&self) -> u64 {
        self.state.tree.size()
    }

    /// How many records the last signed head covers.
    pub(crate) fn signed_size(&self) -> u64 {
        self.state.signed_size
    }

    /// Whether a head was ever signed.
    pub(crate) fn has_head(&self) -> bool {
        self.state.signed_hash != chain::GENESIS
    }

    /// Makes `records` durable as one batch and, if asked (or if the segment is full), signs a head
    /// that covers them. Nothing may be acknowledged before this returns.
    pub(crate) fn commit(&mut self, records: &[Prepared], sign: bool) -> Result<Batch, Error> {
        if let Some(error) = &self.failed {
            return Err(error.stopped());
        }
        let result = self.try_commit(records, sign);
        if let Err(error) = &result {
            self.failed = Some(error.clone());
        }
        result
    }

    fn try_commit(&mut self, records: &[Prepared], sign: bool) -> Result<Batch, Error> {
        if self.length >= self.segment_bytes {
            self.index = self.index.saturating_add(1);
            self.begin_segment(true)?;
        }
        let first = self.state.tree.size();
        let batch = self.state.batch.saturating_add(1);
        let mut out = std::mem::take(&mut self.buffer);
        out.clear();
        for record in records {
            let sequence = self.state.tree.size();
            let (stream, state) = (&self.stream, &mut self.state);
            state.link = chain::link(stream, sequence, &state.link, &record.leaf);
            state.tree.push(record.leaf);
            let parts: [&[u8]; 2] = [&sequence.to_be_bytes(), &record.bytes];
            frame::push(
                &mut out,
                self.index,
                self.length,
                FrameKind::Record,
                batch,
                &parts,
            );
        }
        // A full segment is left with a head of its own, so that it can be checked alone.
        let full = self.length.saturating_add(out.len() as u64) >= self.segment_bytes;
        let unsigned = self.state.signed_size < self.state.tree.size();
        let head = (sign || (full && unsigned)).then(|| self.sign(&mut out, batch));
        self.state.batch = batch;
        let commit = self.state.commit_payload();
        frame::push(
            &mut out,
            self.index,
            self.length,
            FrameKind::Commit,
            batch,
            &[&commit],
        );
        self.write(&out)?;
        out.shrink_to(1 << 20);
        self.buffer = out;
        Ok(Batch { first, head })
    }

    fn sign(&mut self, out: &mut Vec<u8>, batch: u64) -> Result<SignedCheckpoint, SignError> {
        let head = Checkpoint {
            stream: self.stream.to_string(),
            size: self.state.tree.size(),
            root: self.state.tree.root(),
            link: self.state.link,
            time: self.clock.now(),
            key_id: self.signer.key_id().to_owned(),
            previous: self.state.signed_hash,
        };
        let body = head
            .to_bytes()
            .map_err(|error| SignError::new(error.to_string()))?;
        let signature = self.signer.sign(&body)?;
        let parts: [&[u8]; 2] = [&body, &signature];
        frame::push(
            out,
            self.index,
            self.length,
            FrameKind::Checkpoint,
            batch,
            &parts,
        );
        self.state.signed_size = head.size;
        self.state.signed_hash = hash_of(&body);
        Ok(SignedCheckpoint::new(head, signature))
    }

    /// Writes the header batch of segment `self.index`, in a new file or in one that was emptied.
    fn begin_segment(&mut self, create: bool) -> Result<(), Error> {
        let file = segment::name(self.index);
        if create {
            self.storage
                .create(&file)
                .map_err(|error| Error::storage("create", &file, error))?;
        }
        self.length = 0;
        let mut out = Vec::new();
        self.state.start_segment(&self.stream, self.index, &mut out);
        self.write(&out)?;
        self.storage
            .sync_dir()
            .map_err(|error| Error::storage("sync directory of", &file, error))
    }

    /// One append, one sync.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let file = segment::name(self.index);
        self.storage
            .append(&file, bytes)
            .map_err(|error| Error::storage("append to", &file, error))?;
        self.storage
            .sync(&file)
            .map_err(|error| Error::storage("sync", &file, error))?;
        self.length = self.length.saturating_add(bytes.len() as u64);
        Ok(())
    }

    /// Drops the pending mark of a tail that the log now states.
    pub(crate) fn settle(&mut self, aside: &SetAside) -> Result<(), Error> {
        self.storage
            .rename(&aside.file, aside.settled_name())
            .and_then(|()| self.storage.sync_dir())
            .map_err(|error| Error::storage("rename", &aside.file, error))
    }
}
